-- A site is a member of at most one VPP on a day.
select
    nmi,
    count(*) as memberships,
    bit_count(bit_or(1::bigint << day(day))) as days,
    min(vpp) as one_vpp,
    max(vpp) as other_vpp
from site_days
group by nmi
having count(*) > bit_count(bit_or(1::bigint << day(day)))
