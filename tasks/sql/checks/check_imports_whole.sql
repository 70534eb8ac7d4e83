-- Every file's daily sums hold as many events as its import counted, those aside that
-- correct a rejected row: no Parquet file is short.
with read as (
    select
        parse_filename(filename, true) as import_id,
        source,
        sum(events) as events
    from read_parquet($daily, filename = true)
    group by parse_filename(filename, true), source
)

select
    inputs.key,
    inputs.imported - inputs.corrections as imported,
    coalesce(read.events, 0) as found
from inputs
left join read
    on inputs.import_id = read.import_id and inputs.source = read.source
where inputs.imported - inputs.corrections != coalesce(read.events, 0)
