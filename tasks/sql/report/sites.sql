-- The sites of a VPP's report: one row per VPP, with the list of its sites in the order
-- of their NMIs, and how many of their events no VPP got.
-- Money in whole cents, energy and capacity in kWh.
with unassigned as (
    select
        nmi,
        events
    from valued_days
    where vpp is null

    union all

    select
        nmi,
        intervals as events
    from unassigned_readings
),

outside as (
    select
        nmi,
        sum(events)::bigint as events
    from unassigned
    group by nmi
)

select
    site_months.vpp,
    list(
        {
            nmi: site_months.nmi,
            address: site_months.address,
            site_capacity_kwh: site_months.site_capacity_kwh,
            before_fees_cents: site_statements.before_fees_cents,
            fee_cents: site_statements.fee_cents,
            after_fees_cents: site_statements.after_fees_cents,
            member_days: site_months.member_days,
            events: site_months.events,
            energy_charged_kwh: site_months.energy_charged_kwh,
            energy_discharged_kwh: site_months.energy_discharged_kwh
        }
        order by site_months.nmi
    ) as sites,
    coalesce(sum(outside.events), 0)::bigint as unassigned_events
from site_months
inner join site_statements
    on
        site_months.vpp = site_statements.vpp
        and site_months.nmi = site_statements.nmi
left join outside
    on site_months.nmi = outside.nmi
group by site_months.vpp
