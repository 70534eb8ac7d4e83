-- What each site did on each day: one row per site and day on which it was a member of
-- the VPP, in the order of NMI and day.
-- Energy and capacity in kWh. shared_revenue_cents is what its events are worth, but
-- for cost_only_cents, the VPP's alone; both to 12 decimals.
select
    site_days.vpp,
    site_days.nmi,
    site_days.day,
    site_days.capacity_kwh::decimal(18, 6) as site_capacity_kwh,
    coalesce(revenue.events, 0)::bigint as events,
    coalesce(revenue.energy_charged_kwh, 0)::decimal(18, 6) as energy_charged_kwh,
    coalesce(revenue.energy_discharged_kwh, 0)::decimal(18, 6)
        as energy_discharged_kwh,
    decimal_division(coalesce(revenue.shared_sixth_cents, 0), 6, 12)
        as shared_revenue_cents,
    decimal_division(coalesce(revenue.cost_only_sixth_cents, 0), 6, 12)
        as cost_only_cents
from site_days
left join site_days_revenue as revenue
    on
        site_days.vpp = revenue.vpp
        and site_days.nmi = revenue.nmi
        and site_days.day = revenue.day
where site_days.vpp = $vpp
order by site_days.nmi, site_days.day
