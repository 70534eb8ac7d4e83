-- The meter data of a report's sites: one row per VPP and site that is settled from its
-- meter on any day in the VPP. Energy in kWh, charged and discharged together.
with complete as (
    select
        meter_sites.vpp,
        meter_sites.nmi,
        sum(meter_completeness.expected)::bigint as intervals_expected,
        sum(meter_completeness.missing)::bigint as intervals_missing
    from meter_completeness
    inner join meter_sites
        on
            meter_completeness.nmi = meter_sites.nmi
            and meter_completeness.day = meter_sites.day
    group by meter_sites.vpp, meter_sites.nmi
),

good as (
    select
        meter_sites.vpp,
        meter_sites.nmi,
        sum(energy_kwh) filter (quality = 'A') as actual,
        sum(energy_kwh) filter (quality = 'S') as substituted,
        sum(energy_kwh) filter (quality = 'F') as final,
        sum(energy_kwh) filter (quality = 'E') as estimated
    from meter_quality
    inner join meter_sites
        on
            meter_quality.nmi = meter_sites.nmi
            and meter_quality.day = meter_sites.day
    group by meter_sites.vpp, meter_sites.nmi
),

by_events as (
    select
        vpp,
        nmi
    from valued_days
    where
        vpp is not null
        and not is_metered
        and nmi in (select nmi from meter_sites)
    group by vpp, nmi
    having sum(events) > 0
)

select
    complete.vpp,
    complete.nmi,
    case when by_events.nmi is null then 'meter' else 'both' end as basis,
    complete.intervals_expected,
    complete.intervals_missing,
    {
        actual: coalesce(good.actual, 0),
        substituted: coalesce(good.substituted, 0),
        final: coalesce(good.final, 0),
        estimated: coalesce(good.estimated, 0)
    } as energy_by_quality_kwh
from complete
left join good
    on complete.vpp = good.vpp and complete.nmi = good.nmi
left join by_events
    on complete.vpp = by_events.vpp and complete.nmi = by_events.nmi
