-- How complete the meter data of a VPP's sites is: one row per VPP with any, with the
-- sites that have missing intervals, those with most first, and on which days.
with sites as (
    select
        meter_sites.vpp,
        meter_sites.nmi,
        sum(meter_completeness.expected)::bigint as expected,
        sum(meter_completeness.missing)::bigint as missing,
        list(meter_completeness.day order by meter_completeness.day)
            filter (meter_completeness.missing > 0) as days
    from meter_completeness
    inner join meter_sites
        on
            meter_completeness.nmi = meter_sites.nmi
            and meter_completeness.day = meter_sites.day
    group by meter_sites.vpp, meter_sites.nmi
)

select
    vpp,
    sum(expected)::bigint as expected,
    sum(missing)::bigint as missing,
    coalesce(
        list({ nmi: nmi, missing: missing, days: days } order by missing desc, nmi)
            filter (missing > 0),
        []
    ) as sites
from sites
group by vpp
order by vpp
