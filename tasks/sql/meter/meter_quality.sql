-- How good the readings are: one row per site, day, direction and quality (A actual, S
-- substituted, F final substituted, E estimated) that has any.
-- Where a reading's quality varies it is text like 'A;1-20 F14;21-24 S14': ranges of
-- intervals, and a code without a range for those that are in none.
with uniform as (
    select
        counted_readings.nmi,
        counted_readings.day,
        counted_readings.is_discharge,
        counted_readings.quality[1] as quality,
        reading_sums.intervals,
        reading_sums.micro_kwh
    from reading_sums
    inner join counted_readings on reading_sums.reading = counted_readings.reading
    where not contains(counted_readings.quality, '-')
),

varying as (
    select
        reading,
        filename,
        file_row_number,
        nmi,
        day,
        is_discharge,
        quality
    from counted_readings
    where contains(quality, '-')
),

ranges as (
    select
        reading,
        regexp_extract(part, '^([0-9]+)-', 1)::integer as first_number,
        regexp_extract(part, '-([0-9]+) ', 1)::integer as last_number,
        regexp_extract(part, ' (.)', 1) as quality
    from (
        select
            reading,
            unnest(string_split(quality, ';')) as part
        from varying
    ) as parts
    where contains(part, '-')
),

intervals as (
    select
        varying.reading,
        varying.nmi,
        varying.day,
        varying.is_discharge,
        varying.quality[1] as own_quality,
        generate_subscripts(readings.micro_kwh, 1) as number,
        unnest(readings.micro_kwh) as micro_kwh
    from read_parquet($readings, filename = true, file_row_number = true) as readings
    inner join varying
        on
            readings.filename = varying.filename
            and readings.file_row_number = varying.file_row_number
),

parts as (
    select
        nmi,
        day,
        is_discharge,
        quality,
        intervals,
        micro_kwh
    from uniform
    union all
    select
        intervals.nmi,
        intervals.day,
        intervals.is_discharge,
        coalesce(ranges.quality, intervals.own_quality) as quality,
        1 as intervals,
        intervals.micro_kwh
    from intervals
    left join ranges
        on
            intervals.reading = ranges.reading
            and intervals.number between ranges.first_number and ranges.last_number
    where intervals.micro_kwh is not null
)

select
    nmi,
    day,
    is_discharge,
    quality,
    sum(intervals)::bigint as intervals,
    (sum(micro_kwh)::decimal(32, 0) * 0.000001::decimal(6, 6))::decimal(38, 6)
        as energy_kwh
from parts
group by nmi, day, is_discharge, quality
having sum(intervals) > 0
order by nmi, day, is_discharge, quality
