-- Steps 2 and 3: one row per VPP ($vpps), site and day with events.
-- shared_sixth_cents is what is shared out, cost_only_sixth_cents the VPP's alone: both
-- six times the cents, 12 decimals.
select
    vpp,
    nmi,
    day,
    sum(events)::bigint as events,
    coalesce(sum(energy_kwh) filter (not is_discharge), 0) as energy_charged_kwh,
    coalesce(sum(energy_kwh) filter (is_discharge), 0) as energy_discharged_kwh,
    coalesce(sum(value_sixth_cents) filter (not is_cost_only), 0)
        as shared_sixth_cents,
    coalesce(sum(value_sixth_cents) filter (is_cost_only), 0)
        as cost_only_sixth_cents
from valued_days
where vpp in (select unnest($vpps::varchar[]))
group by vpp, nmi, day
