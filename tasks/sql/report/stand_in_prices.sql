-- Days on which DISPATCHPRICE stood in for a VPP's settlement price: one row per VPP,
-- region and day, with the numbers of the intervals of 5 minutes.
with region_days as (
    select distinct
        meter_sites.vpp,
        counted_readings.region,
        counted_readings.day
    from counted_readings
    inner join meter_sites
        on
            counted_readings.nmi = meter_sites.nmi
            and counted_readings.day = meter_sites.day
)

select
    region_days.vpp,
    region_days.region,
    region_days.day,
    list(price_slots.slot order by price_slots.slot) as slots
from region_days
inner join price_slots
    on region_days.region = price_slots.region and region_days.day = price_slots.day
where price_slots.is_dispatch
group by region_days.vpp, region_days.region, region_days.day
order by region_days.vpp, region_days.region, region_days.day
