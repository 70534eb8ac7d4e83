-- Events and readings that no VPP gets: one row per site, with the days in the month on
-- which it had some but was no member of any VPP, or (is_known false) is not in the
-- registry at all. events: of a meter, its intervals.
with unassigned as (
    select
        nmi,
        day,
        events,
        energy_kwh
    from valued_days
    where vpp is null

    union all

    select
        nmi,
        day,
        intervals as events,
        energy_kwh
    from unassigned_readings
)

select
    nmi,
    nmi in (
        select id from spans
        where kind = 'site'
    ) as is_known,
    min(day) as first_day,
    max(day) as last_day,
    sum(events)::bigint as events,
    sum(energy_kwh) as energy_kwh
from unassigned
group by nmi
order by nmi
