-- Steps 1 to 3: one row per VPP, site and day with events.
-- shared_cents: what is shared out, plus for discharges, minus for charges (plus under
-- terms with charge_events = 'revenue'); cost_only_cents: discharges worth less than
-- zero, the VPP's alone.
-- Cents have 12 decimals, exactly those of energy x tariff.
with settled as (
    select
        site_days.vpp,
        site_days.nmi,
        site_days.day,
        month_events.is_discharge,
        month_events.is_discharge and month_events.is_negative_tariff
            as is_cost_only,
        case
            when month_events.is_discharge then month_events.value_cents
            when vpp_days.charge_events = 'revenue' then month_events.value_cents
            else -month_events.value_cents
        end as value_cents,
        month_events.events,
        month_events.energy_kwh
    from month_events
    inner join site_days
        on month_events.nmi = site_days.nmi and month_events.day = site_days.day
    inner join vpp_days
        on site_days.vpp = vpp_days.vpp and site_days.day = vpp_days.day
)

select
    vpp,
    nmi,
    day,
    sum(events)::bigint as events,
    coalesce(sum(energy_kwh) filter (not is_discharge), 0) as energy_charged_kwh,
    coalesce(sum(energy_kwh) filter (is_discharge), 0)
        as energy_discharged_kwh,
    coalesce(sum(value_cents) filter (not is_cost_only), 0) as shared_cents,
    coalesce(sum(value_cents) filter (is_cost_only), 0) as cost_only_cents
from settled
group by vpp, nmi, day
