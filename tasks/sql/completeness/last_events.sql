-- What the sites without an event had in the month before: one row per site that had
-- events then, with their number and the day of the last one.
-- `last_files` names what counts: the sources of each import in $daily. Corrections of
-- rejected rows are not looked at.
select
    daily.nmi,
    sum(daily.events)::bigint as events,
    max(daily.day) as last_day
from read_parquet($daily, filename = true) as daily
inner join last_files
    on
        parse_filename(daily.filename, true) = last_files.import_id
        and daily.source = last_files.source
where
    daily.day between $first_day and $last_day
    and daily.nmi in (select nmi from silent_sites)
group by daily.nmi
