-- Events that no VPP gets: one row per site, with the days in the month on which it had
-- events but was no member of any VPP, or (is_known false) is not in the registry at
-- all.
select
    month_events.nmi,
    month_events.nmi in (
        select id from spans
        where kind = 'site'
    ) as is_known,
    min(month_events.day) as first_day,
    max(month_events.day) as last_day,
    sum(month_events.events)::bigint as events,
    sum(month_events.energy_kwh) as energy_kwh
from month_events
anti join site_days
    on month_events.nmi = site_days.nmi and month_events.day = site_days.day
group by month_events.nmi
order by month_events.nmi
