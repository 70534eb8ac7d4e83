-- The month's events of one site in the shape of month_events: one row per event.
-- So events/valued_days, which says what an event is worth and whose it is, can be
-- read of single events as well as of daily sums. What it passes on untouched, the key,
-- carries the event's origin: file, line and tariff (cents per kWh).
select
    {
        file: inputs.key, line: events.line, tariff: events.tariff_cents_per_kwh
    } as key,
    events.nmi,
    events.day,
    events.is_discharge,
    events.tariff_cents_per_kwh < 0 as is_negative_tariff,
    1::bigint as events,
    events.energy_kwh,
    events.energy_kwh::decimal(27, 6) * events.tariff_cents_per_kwh as value_cents
from read_parquet($events, filename = true) as events
inner join inputs
    on
        parse_filename(events.filename, true) = inputs.import_id
        and events.source = inputs.source
where events.nmi = $nmi and events.day between $first_day and $last_day
