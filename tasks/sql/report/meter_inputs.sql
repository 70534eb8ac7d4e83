-- The meter files that a VPP's report rests on: one row per VPP with settled readings,
-- with the list of its files in the order of their keys; rows are 300 rows.
with counted as (
    select
        meter_sites.vpp,
        counted_readings.key,
        count(*) as rows
    from counted_readings
    inner join meter_sites
        on
            counted_readings.nmi = meter_sites.nmi
            and counted_readings.day = meter_sites.day
    group by meter_sites.vpp, counted_readings.key
)

select
    counted.vpp,
    list(
        { key: counted.key, etag: meter_files.etag, rows: counted.rows }
        order by counted.key
    ) as meter_inputs
from counted
inner join meter_files
    on counted.key = meter_files.key
group by counted.vpp
