-- The month's rejected rows that name a site of a VPP: one row per VPP with any, beside
-- how many events its sites have. `rejected` has the rows by NMI, as far as that can be
-- read; a site that moved in the month counts for each of its VPPs.
with members as (
    select
        vpp,
        nmi,
        events
    from site_months
)

select
    members.vpp,
    sum(members.events)::bigint as events,
    sum(coalesce(rejected.rows, 0))::bigint as rejected_rows
from members
left join rejected
    on members.nmi = rejected.nmi
group by members.vpp
having sum(coalesce(rejected.rows, 0)) > 0
order by members.vpp
