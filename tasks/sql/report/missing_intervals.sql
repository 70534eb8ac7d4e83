-- How complete the meter data of a VPP's sites is: one row per VPP with any, with the
-- sites that have missing intervals, those with most first, and on which days.
with days as (
    select
        meter_sites.vpp,
        meter_sites.nmi,
        meter_sites.day,
        meter_completeness.expected,
        meter_completeness.missing
    from meter_completeness
    inner join meter_sites
        on
            meter_completeness.nmi = meter_sites.nmi
            and meter_completeness.day = meter_sites.day
),

vpps as (
    select
        vpp,
        sum(expected)::bigint as expected,
        sum(missing)::bigint as missing
    from days
    group by vpp
),

gaps as (
    select
        vpp,
        nmi,
        sum(missing)::bigint as missing,
        list(day order by day) as days
    from days
    where missing > 0
    group by vpp, nmi
),

sites as (
    select
        vpp,
        list(
            { nmi: nmi, missing: missing, days: days } order by missing desc, nmi asc
        ) as sites
    from gaps
    group by vpp
)

select
    vpps.vpp,
    vpps.expected,
    vpps.missing,
    coalesce(sites.sites, []) as sites
from vpps
left join sites
    on vpps.vpp = sites.vpp
order by vpps.vpp
