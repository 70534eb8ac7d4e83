-- The daily sums of the event files that count, of some days: one row per inbox object,
-- site, day, event type and sign of the tariff. A macro, as they are read for several
-- ends. paths: Parquet files of imports, each named <import id>.parquet; files: the
-- name of a table with the sources of each import that count (key, import_id, source).
create macro counted_days(paths, files, first_day, last_day) as table
    select
        counting.key,
        daily.nmi,
        daily.day,
        daily.is_discharge,
        daily.is_negative_tariff,
        daily.events,
        daily.energy_kwh,
        daily.value_cents,
        daily.first_second,
        daily.last_second
    from read_parquet(paths, filename = true) as daily
    inner join query_table(files) as counting
        on
            parse_filename(daily.filename, true) = counting.import_id
            and daily.source = counting.source
    where daily.day between first_day and last_day
