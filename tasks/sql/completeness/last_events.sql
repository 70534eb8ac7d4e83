-- What the sites without an event had in the month before: one row per site that had
-- events then, with their number and the day of the last one.
-- `last_files` names what counts: the sources of each import in $daily. Corrections of
-- rejected rows are not looked at.
select
    daily.nmi,
    sum(daily.events)::bigint as events,
    max(daily.day) as last_day
from counted_days($daily, 'last_files', $first_day, $last_day) as daily
where daily.nmi in (select nmi from silent_sites)
group by daily.nmi
