-- The month's rejected rows that name a site of a VPP: one row per VPP with any, beside
-- how many events and days of readings its sites have. `rejected` has the rows by NMI,
-- as far as that can be read; a site that moved in the month counts for each of its
-- VPPs.
with affected as (
    select distinct memberships.vpp
    from memberships
    inner join rejected
        on memberships.nmi = rejected.nmi
),

days as (
    select
        valued_days.vpp,
        valued_days.nmi,
        sum(valued_days.events) filter (not valued_days.is_metered) as events
    from valued_days
    semi join affected
        on valued_days.vpp = affected.vpp
    group by valued_days.vpp, valued_days.nmi
),

readings as (
    select
        meter_sites.vpp,
        meter_sites.nmi,
        count(*) as readings
    from counted_readings
    inner join meter_sites
        on
            counted_readings.nmi = meter_sites.nmi
            and counted_readings.day = meter_sites.day
    group by meter_sites.vpp, meter_sites.nmi
),

members as (
    select distinct
        memberships.vpp,
        memberships.nmi
    from memberships
    inner join affected
        on memberships.vpp = affected.vpp
)

select
    members.vpp,
    sum(coalesce(days.events, 0) + coalesce(readings.readings, 0))::bigint as events,
    sum(coalesce(rejected.rows, 0))::bigint as rejected_rows
from members
left join days
    on members.vpp = days.vpp and members.nmi = days.nmi
left join readings
    on members.vpp = readings.vpp and members.nmi = readings.nmi
left join rejected
    on members.nmi = rejected.nmi
group by members.vpp
having sum(coalesce(rejected.rows, 0)) > 0
order by members.vpp
