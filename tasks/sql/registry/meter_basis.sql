-- Sites whose meter counts and whose events do not, by the registry's `basis`: one row
-- per site and day of the month.
select
    id as nmi,
    unnest(generate_series(first_day, last_day, interval 1 day))::date as day
from spans
where kind = 'site' and attribute = 'basis' and value = 'meter'
