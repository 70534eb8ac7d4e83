-- What a VPP's days brought, by where the price stood: one row per day on which the VPP
-- exists, in order.
-- Money in cents to 12 decimals, plus where the VPP and its sites gain; energy in kWh.
-- *_below_zero is of events at a price below zero; the rest is at zero and above. A
-- discharge below zero is the VPP's alone (cost only). A charge's price is read off
-- its worth, which has the other sign unless charge_events is 'revenue'; what is taken
-- out of the sums again, a repeat, has events below zero.
with events as (
    select
        valued_days.day,
        valued_days.is_discharge,
        valued_days.is_cost_only,
        valued_days.energy_kwh,
        valued_days.value_sixth_cents,
        valued_days.value_sixth_cents != 0
        and ((valued_days.value_sixth_cents > 0) = (valued_days.events > 0))
        != (vpp_days.charge_events = 'revenue') as is_below_zero
    from valued_days
    inner join vpp_days
        on valued_days.vpp = vpp_days.vpp and valued_days.day = vpp_days.day
    where valued_days.vpp = $vpp
),

sums as (
    select
        day,
        sum(value_sixth_cents) filter (is_discharge and not is_cost_only)
            as discharged_sixth_cents,
        sum(value_sixth_cents) filter (is_cost_only)
            as discharged_below_zero_sixth_cents,
        sum(value_sixth_cents) filter (not is_discharge and not is_below_zero)
            as charged_sixth_cents,
        sum(value_sixth_cents) filter (not is_discharge and is_below_zero)
            as charged_below_zero_sixth_cents,
        sum(energy_kwh) filter (not is_discharge) as energy_charged_kwh,
        sum(energy_kwh) filter (is_discharge) as energy_discharged_kwh
    from events
    group by day
)

select
    vpp_days.day,
    decimal_division(coalesce(sums.discharged_sixth_cents, 0), 6, 12)
        as discharged_cents,
    decimal_division(coalesce(sums.discharged_below_zero_sixth_cents, 0), 6, 12)
        as discharged_below_zero_cents,
    decimal_division(coalesce(sums.charged_sixth_cents, 0), 6, 12) as charged_cents,
    decimal_division(coalesce(sums.charged_below_zero_sixth_cents, 0), 6, 12)
        as charged_below_zero_cents,
    coalesce(sums.energy_charged_kwh, 0) as energy_charged_kwh,
    coalesce(sums.energy_discharged_kwh, 0) as energy_discharged_kwh
from vpp_days
left join sums
    on vpp_days.day = sums.day
where vpp_days.vpp = $vpp
order by vpp_days.day
