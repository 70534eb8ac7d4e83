-- Events, or intervals of meters, of a VPP's sites on days on which they were in no
-- VPP: one row per VPP with any. A site that moved counts for each of its VPPs.
with unassigned as (
    select
        nmi,
        events
    from valued_days
    where vpp is null

    union all

    select
        nmi,
        intervals as events
    from unassigned_readings
)

select
    site_months.vpp,
    sum(unassigned.events)::bigint as unassigned_events
from unassigned
inner join site_months
    on unassigned.nmi = site_months.nmi
group by site_months.vpp
