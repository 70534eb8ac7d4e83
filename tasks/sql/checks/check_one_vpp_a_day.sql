-- A site is a member of at most one VPP on a day.
with pairs as (
    select
        nmi,
        vpp,
        first_day,
        lag(vpp) over (partition by nmi order by first_day, last_day) as vpp_before,
        lag(last_day) over (partition by nmi order by first_day, last_day)
            as last_day_before
    from memberships
)

select
    nmi,
    first_day as day,
    vpp_before as one_vpp,
    vpp as other_vpp
from pairs
where last_day_before >= first_day
