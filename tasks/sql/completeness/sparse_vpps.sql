-- VPPs that have events in the month, but on no more than half of the days on which
-- they have sites: one row per VPP. Whether they lack any shows the month before.
with active as (
    select
        vpp,
        day
    from valued_days
    where vpp is not null
    group by vpp, day
    having sum(events) > 0
),

member_days as (
    select distinct
        vpp,
        day
    from site_days
)

select member_days.vpp
from member_days
left join active
    on member_days.vpp = active.vpp and member_days.day = active.day
group by member_days.vpp
having count(active.day) > 0 and count(active.day) * 2 <= count(*)
