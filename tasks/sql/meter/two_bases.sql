-- Sites that have events and readings that count on the same days, which would count
-- twice: one row per VPP and site, with those days. What counts is said by the site's
-- basis: where it is, only one of the two is in `month_events`.
with days as (
    select
        site_days.vpp,
        site_days.nmi,
        site_days.day
    from site_days
    inner join month_events
        on site_days.nmi = month_events.nmi and site_days.day = month_events.day
    group by site_days.vpp, site_days.nmi, site_days.day
    having
        sum(month_events.events) filter (month_events.is_metered) > 0
        and sum(month_events.events) filter (not month_events.is_metered) > 0
)

select
    vpp,
    nmi,
    list(day order by day) as days
from days
group by vpp, nmi
order by vpp, nmi
