-- Those of the VPPs in $vpps whose sites had events on more than half of the days of
-- the month before: one row per VPP.
-- `last_files` names what counts: the sources of each import in $daily.
select site_months.vpp
from counted_days($daily, 'last_files', $first_day, $last_day) as daily
inner join site_months
    on daily.nmi = site_months.nmi
where site_months.vpp in (select unnest($vpps::varchar[]))
group by site_months.vpp
having count(distinct daily.day) * 2 > day($last_day::date)
