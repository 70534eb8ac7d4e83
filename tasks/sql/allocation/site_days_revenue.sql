-- Steps 2 and 3: one row per VPP, site and day with events.
-- shared_cents is what is shared out; cost_only_cents is the VPP's alone. Cents have 12
-- decimals.
select
    vpp,
    nmi,
    day,
    sum(events)::bigint as events,
    coalesce(sum(energy_kwh) filter (not is_discharge), 0) as energy_charged_kwh,
    coalesce(sum(energy_kwh) filter (is_discharge), 0) as energy_discharged_kwh,
    coalesce(sum(value_cents) filter (not is_cost_only), 0) as shared_cents,
    coalesce(sum(value_cents) filter (is_cost_only), 0) as cost_only_cents
from valued_days
where vpp is not null
group by vpp, nmi, day
