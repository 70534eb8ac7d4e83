-- Every meter file's readings are as many as its import counted: no Parquet file is
-- short.
with read as (
    select
        parse_filename(filename, true) as import_id,
        source,
        count(*) as readings
    from read_parquet($readings, filename = true)
    group by parse_filename(filename, true), source
)

select
    meter_files.key,
    meter_files.imported,
    coalesce(read.readings, 0) as found
from meter_files
left join read
    on
        meter_files.import_id = read.import_id
        and meter_files.source = read.source
where meter_files.imported != coalesce(read.readings, 0)
