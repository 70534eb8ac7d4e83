-- Who is a member of what: one row per site and day of the month on which it belongs to
-- a VPP, with the battery capacity (kWh) that is installed there on that day.
with members as (
    select
        value as vpp,
        id as nmi,
        unnest(generate_series(first_day, last_day, interval 1 day))::date as day
    from spans
    where kind = 'site' and attribute = 'vpp' and value is not null
),

installed as (
    select
        place.value as nmi,
        capacity.value::decimal(15, 6) as capacity_kwh,
        unnest(
            generate_series(
                greatest(place.first_day, capacity.first_day),
                least(place.last_day, capacity.last_day),
                interval 1 day
            )
        )::date as day
    from spans as place
    inner join spans as capacity
        on place.id = capacity.id
    where
        place.kind = 'battery'
        and place.attribute = 'nmi'
        and place.value is not null
        and capacity.kind = 'battery'
        and capacity.attribute = 'capacity_kwh'
),

capacities as (
    select
        nmi,
        day,
        sum(capacity_kwh) as capacity_kwh
    from installed
    group by nmi, day
)

select
    members.vpp,
    members.nmi,
    members.day,
    coalesce(capacities.capacity_kwh, 0)::decimal(18, 6) as capacity_kwh
from members
left join capacities
    on members.nmi = capacities.nmi and members.day = capacities.day
