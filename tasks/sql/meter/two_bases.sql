-- Sites that have events and readings that count on the same days, which would count
-- twice: one row per VPP and site, with those days. What counts is said by the site's
-- basis: where it is, only one of the two is in `month_events`.
with metered as (
    select distinct nmi
    from valued_days
    where vpp is not null and is_metered
),

days as (
    select
        valued_days.vpp,
        valued_days.nmi,
        valued_days.day
    from valued_days
    semi join metered
        on valued_days.nmi = metered.nmi
    where valued_days.vpp is not null
    group by valued_days.vpp, valued_days.nmi, valued_days.day
    having
        sum(valued_days.events) filter (valued_days.is_metered) > 0
        and sum(valued_days.events) filter (not valued_days.is_metered) > 0
)

select
    vpp,
    nmi,
    list(day order by day) as days
from days
group by vpp, nmi
order by vpp, nmi
