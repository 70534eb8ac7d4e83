-- The month's rejected rows that name a site of a VPP: one row per VPP with any, beside
-- how many events and days of readings its sites have. `rejected` has the rows by NMI,
-- as far as that can be read; a site that moved in the month counts for each of its
-- VPPs.
with days as (
    select
        vpp,
        nmi,
        sum(events) filter (not is_metered) as events
    from valued_days
    where vpp is not null
    group by vpp, nmi
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
)

select
    site_months.vpp,
    sum(coalesce(days.events, 0) + coalesce(readings.readings, 0))::bigint as events,
    sum(coalesce(rejected.rows, 0))::bigint as rejected_rows
from site_months
left join days
    on site_months.vpp = days.vpp and site_months.nmi = days.nmi
left join readings
    on site_months.vpp = readings.vpp and site_months.nmi = readings.nmi
left join rejected
    on site_months.nmi = rejected.nmi
group by site_months.vpp
having sum(coalesce(rejected.rows, 0)) > 0
order by site_months.vpp
