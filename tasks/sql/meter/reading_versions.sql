-- The month's days of readings, all versions: one row per row of a file that counts.
-- Without their values, which are read only where they are needed: filename and
-- file_row_number say where they are.
-- meter_files names what counts: the sources of each import that are in the inbox now.
select
    readings.filename,
    readings.file_row_number,
    meter_files.key,
    readings.line,
    readings.nmi,
    readings.suffix,
    readings.register,
    readings.serial,
    readings.day,
    readings.interval_minutes,
    readings.version,
    readings.quality,
    readings.actual,
    readings.missing
from read_parquet($readings, filename = true, file_row_number = true) as readings
inner join meter_files
    on
        parse_filename(readings.filename, true) = meter_files.import_id
        and readings.source = meter_files.source
where readings.day between $first_day and $last_day
