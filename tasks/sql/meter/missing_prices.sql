-- Prices that are needed and not there: one row per region, day and slot of 5 minutes
-- (1 to 288), for every region and day with a reading that counts.
with needed as (
    select distinct
        region,
        day
    from counted_readings
),

slots as (
    select
        needed.region,
        needed.day,
        unnest(range(1, 289))::smallint as slot
    from needed
)

select
    slots.region,
    slots.day,
    slots.slot
from slots
left join price_slots
    on
        slots.region = price_slots.region
        and slots.day = price_slots.day
        and slots.slot = price_slots.slot
where price_slots.slot is null
order by slots.region, slots.day, slots.slot
