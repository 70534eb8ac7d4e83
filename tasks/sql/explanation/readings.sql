-- The settled readings with their values, for analysts: one row per channel and day.
-- micro_kwh has the day's values in order, null where one is missing; interval i ends i
-- x interval_minutes after midnight, market time.
select
    meter_sites.vpp,
    counted_readings.nmi,
    counted_readings.day,
    counted_readings.suffix,
    counted_readings.register,
    counted_readings.serial,
    counted_readings.is_discharge,
    counted_readings.region,
    counted_readings.interval_minutes,
    counted_readings.version,
    counted_readings.quality,
    counted_readings.missing,
    readings.micro_kwh,
    counted_readings.key,
    readings.member,
    counted_readings.line
from read_parquet($readings, filename = true, file_row_number = true) as readings
inner join counted_readings
    on
        readings.filename = counted_readings.filename
        and readings.file_row_number = counted_readings.file_row_number
inner join meter_sites
    on
        counted_readings.nmi = meter_sites.nmi
        and counted_readings.day = meter_sites.day
