-- Sites whose events are all of one VPP that is not settled here (not in $vpps): its
-- members in the whole month, without a meter that counts. One row each. Their events
-- are counted (events/elsewhere_events), not placed one by one.
-- None of a VPP with rejected rows, since a month with too many of a VPP's is refused.
with doubtful as (
    select distinct memberships.vpp
    from memberships
    inner join rejected
        on memberships.nmi = rejected.nmi
)

select memberships.nmi
from memberships
anti join doubtful
    on memberships.vpp = doubtful.vpp
anti join meter_sites
    on memberships.nmi = meter_sites.nmi
where
    memberships.first_day = $first_day
    and memberships.last_day = $last_day
    and memberships.vpp not in (select unnest($vpps::varchar[]))
