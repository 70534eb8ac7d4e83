-- The sites of a VPP's report as it shows them: one row per VPP, with the list of its
-- sites in the order of their NMIs, and how many of their events no VPP got.
-- Cents become AUD by a product of decimals, so exactly.
with outside as (
    select
        nmi,
        sum(events)::bigint as events
    from placed_events
    where vpp is null
    group by nmi
),

dollars as (
    select
        vpp,
        nmi,
        before_fees_cents * 0.01::decimal(3, 2) as before_fees_aud,
        fee_cents * 0.01::decimal(3, 2) as fee_aud,
        after_fees_cents * 0.01::decimal(3, 2) as after_fees_aud
    from site_statements
)

select
    site_months.vpp,
    list(
        {
            nmi: site_months.nmi,
            address: site_months.address,
            site_capacity_kwh: site_months.site_capacity_kwh,
            site_revenue_before_fees: dollars.before_fees_aud,
            site_daily_fee: dollars.fee_aud,
            site_revenue_after_fees: dollars.after_fees_aud,
            member_days: site_months.member_days,
            events: site_months.events,
            energy_charged_kwh: site_months.energy_charged_kwh,
            energy_discharged_kwh: site_months.energy_discharged_kwh
        }
        order by site_months.nmi
    ) as sites,
    coalesce(sum(outside.events), 0)::bigint as unassigned_events
from site_months
inner join dollars
    on site_months.vpp = dollars.vpp and site_months.nmi = dollars.nmi
left join outside
    on site_months.nmi = outside.nmi
group by site_months.vpp
