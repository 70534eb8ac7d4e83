-- The price files that a VPP's report rests on: one row per VPP with settled readings,
-- with the list of its files in the order of their keys, and its regions; rows are
-- intervals of 5 minutes of a region.
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
),

regions as (
    select
        vpp,
        list(distinct region order by region) as regions
    from region_days
    group by vpp
),

counted as (
    select
        region_days.vpp,
        price_slots.key,
        count(*) as rows
    from region_days
    inner join price_slots
        on
            region_days.region = price_slots.region
            and region_days.day = price_slots.day
    group by region_days.vpp, price_slots.key
)

select
    counted.vpp,
    list(
        { key: counted.key, etag: price_files.etag, rows: counted.rows }
        order by counted.key
    ) as price_inputs,
    any_value(regions.regions) as regions
from counted
inner join price_files
    on counted.key = price_files.key
inner join regions
    on counted.vpp = regions.vpp
group by counted.vpp
