-- The memberships day by day: one row per site and day of the month on which it belongs
-- to a VPP, with the battery capacity (kWh) that is installed there on that day.
-- A view: for explanations and pages, which look at one VPP or site.
select
    vpp,
    nmi,
    unnest(generate_series(first_day, last_day, interval 1 day))::date as day,
    capacity_kwh
from memberships
