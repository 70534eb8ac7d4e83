-- The month's daily sums, each with the inbox object that it came from: one row per
-- object, site, day, event type and sign of the tariff.
-- `inputs` names what counts: the sources of each import that are in the inbox now, and
-- of objects with the same events only one. `corrections` are the events that count in
-- the place of a rejected row, `repeats` those that stand elsewhere under the same
-- EVENT_ID and are taken out again.
select
    inputs.key,
    daily.nmi,
    daily.day,
    daily.is_discharge,
    daily.is_negative_tariff,
    daily.events,
    daily.energy_kwh,
    daily.value_cents
from read_parquet($daily, filename = true) as daily
inner join inputs
    on
        parse_filename(daily.filename, true) = inputs.import_id
        and daily.source = inputs.source
where daily.day between $first_day and $last_day

union all

select
    key,
    nmi,
    day,
    is_discharge,
    tariff_cents_per_kwh < 0 as is_negative_tariff,
    count(*) as events,
    sum(energy_kwh) as energy_kwh,
    sum(energy_kwh::decimal(27, 6) * tariff_cents_per_kwh) as value_cents
from corrections
where day between $first_day and $last_day
group by key, nmi, day, is_discharge, tariff_cents_per_kwh < 0

union all

select
    key,
    nmi,
    day,
    is_discharge,
    tariff_cents_per_kwh < 0 as is_negative_tariff,
    -count(*) as events,
    -sum(energy_kwh) as energy_kwh,
    -sum(energy_kwh::decimal(27, 6) * tariff_cents_per_kwh) as value_cents
from repeats
where day between $first_day and $last_day
group by key, nmi, day, is_discharge, tariff_cents_per_kwh < 0
