-- Those of the VPPs in $vpps whose sites had events on more than half of the days of
-- the month before: one row per VPP.
-- `last_files` names what counts: the sources of each import in $daily.
select site_months.vpp
from read_parquet($daily, filename = true) as daily
inner join last_files
    on
        parse_filename(daily.filename, true) = last_files.import_id
        and daily.source = last_files.source
inner join site_months
    on daily.nmi = site_months.nmi
where
    daily.day between $first_day and $last_day
    and site_months.vpp in (select unnest($vpps::varchar[]))
group by site_months.vpp
having count(distinct daily.day) * 2 > day($last_day::date)
