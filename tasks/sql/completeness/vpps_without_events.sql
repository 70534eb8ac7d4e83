-- VPPs that have sites, and no event of any of them in the month: one row per VPP.
-- first_day: the first of the month on which it has a site. last_event: the last day
-- with an event of its sites in the month before; null: there was none.
with silent as (
    select
        vpp,
        count(*) as sites
    from site_months
    group by vpp
    having sum(events) = 0
),

first_days as (
    select
        vpp,
        min(first_day) as first_day
    from memberships
    group by vpp
),

before as (
    select
        silent_sites.vpp,
        max(last_events.last_day) as last_event
    from silent_sites
    inner join last_events
        on silent_sites.nmi = last_events.nmi
    group by silent_sites.vpp
)

select
    silent.vpp,
    silent.sites,
    first_days.first_day,
    before.last_event
from silent
inner join first_days
    on silent.vpp = first_days.vpp
left join before
    on silent.vpp = before.vpp
order by silent.vpp
