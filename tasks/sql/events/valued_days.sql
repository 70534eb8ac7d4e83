-- Steps 1 and 2: the month's daily sums, each with the VPP whose member its site was on
-- that day (null: no VPP's, so unassigned), and with its worth under that VPP's terms:
-- plus for discharges, minus for charges (plus where charge_events is 'revenue').
-- is_cost_only: a discharge worth less than zero, the VPP's alone. (By its tariff: what
-- is taken out of the sums again, a repeat, has the other sign.)
-- Sixths of a cent have 12 decimals, exactly those of 6 x energy x tariff.
select
    memberships.vpp,
    month_events.nmi,
    month_events.day,
    month_events.key,
    month_events.is_discharge,
    month_events.is_discharge
    and month_events.is_negative_tariff
    and month_events.value_sixth_cents != 0 as is_cost_only,
    case
        when month_events.is_discharge then month_events.value_sixth_cents
        when vpp_days.charge_events = 'revenue' then month_events.value_sixth_cents
        else -month_events.value_sixth_cents
    end as value_sixth_cents,
    month_events.is_metered,
    month_events.events,
    month_events.energy_kwh
from month_events
left join memberships
    on
        month_events.nmi = memberships.nmi
        and month_events.day between memberships.first_day and memberships.last_day
left join vpp_days
    on memberships.vpp = vpp_days.vpp and month_events.day = vpp_days.day
