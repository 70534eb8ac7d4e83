-- A site is a member of at most one VPP on a day.
select
    nmi,
    day,
    string_agg(vpp, ', ' order by vpp) as vpps
from site_days
group by nmi, day
having count(*) > 1
