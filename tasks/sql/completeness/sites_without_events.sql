-- Sites with a battery that had events in the month before and have none in this one,
-- of VPPs that have events: one row per VPP and site.
-- events and last_event: how many it had then, and the day of the last one.
with active as (
    select vpp
    from site_months
    group by vpp
    having sum(events) > 0
)

select
    silent_sites.vpp,
    silent_sites.nmi,
    last_events.events,
    last_events.last_day as last_event
from silent_sites
inner join active
    on silent_sites.vpp = active.vpp
inner join last_events
    on silent_sites.nmi = last_events.nmi
where silent_sites.has_battery
order by silent_sites.vpp, silent_sites.nmi
