-- The month's daily sums, each with the inbox object that it came from: one row per
-- object, site, day, event type and sign of the tariff; of events and of meter data.
-- `inputs` names what counts: the sources of each import that are in the inbox now, and
-- of objects with the same events only one. `corrections` are the events that count in
-- the place of a rejected row, `repeats` those that stand elsewhere under the same
-- EVENT_ID and are taken out again. Events of `meter_basis`, the sites and days whose
-- meter counts, do not. Those of `elsewhere_sites` are left out: by `not in`, for which
-- DuckDB keeps these sites in memory; for an anti join it would keep the daily sums.
-- value_sixth_cents: six times the worth in cents, 12 decimals, since the prices of a
-- meter's intervals have thirds (meter/meter_daily). events: of a meter, intervals.
with aside as (
    select
        *,
        1 as sign
    from corrections

    union all

    select
        *,
        -1 as sign
    from repeats
),

event_days as (
    select
        key,
        nmi,
        day,
        is_discharge,
        is_negative_tariff,
        events,
        energy_kwh,
        value_cents
    from counted_days($daily, 'inputs', $first_day, $last_day)

    union all

    select
        key,
        nmi,
        day,
        is_discharge,
        tariff_cents_per_kwh < 0 as is_negative_tariff,
        sign * count(*) as events,
        sign * sum(energy_kwh) as energy_kwh,
        sign * sum(energy_kwh::decimal(27, 6) * tariff_cents_per_kwh) as value_cents
    from aside
    where day between $first_day and $last_day
    group by key, nmi, day, is_discharge, tariff_cents_per_kwh < 0, sign
)

select
    event_days.key,
    event_days.nmi,
    event_days.day,
    event_days.is_discharge,
    event_days.is_negative_tariff,
    false as is_metered,
    event_days.events,
    event_days.energy_kwh,
    event_days.value_cents * 6 as value_sixth_cents
from event_days
anti join meter_basis
    on event_days.nmi = meter_basis.nmi and event_days.day = meter_basis.day
where event_days.nmi not in (select nmi from elsewhere_sites)

union all

select
    key,
    nmi,
    day,
    is_discharge,
    is_negative_tariff,
    true as is_metered,
    events,
    energy_kwh,
    value_sixth_cents
from meter_daily
