-- The month's events of one site in the shape of month_events: one row per event.
-- So events/valued_days, which says what an event is worth and whose it is, can be
-- read of single events as well as of daily sums. What it passes on untouched, the key,
-- carries the event's origin: file, line and tariff (cents per kWh).
with single as (
    select
        inputs.key,
        events.line,
        events.nmi,
        events.day,
        events.is_discharge,
        events.energy_kwh,
        events.tariff_cents_per_kwh
    from read_parquet($events, filename = true) as events
    inner join inputs
        on
            parse_filename(events.filename, true) = inputs.import_id
            and events.source = inputs.source
    anti join repeats
        on inputs.key = repeats.key and events.line = repeats.line
    where events.rejected_id is null

    union all

    select
        key,
        line,
        nmi,
        day,
        is_discharge,
        energy_kwh,
        tariff_cents_per_kwh
    from corrections
)

select
    { file: key, line: line, tariff: tariff_cents_per_kwh } as key,
    nmi,
    day,
    is_discharge,
    tariff_cents_per_kwh < 0 as is_negative_tariff,
    false as is_metered,
    1::bigint as events,
    energy_kwh,
    energy_kwh::decimal(27, 6) * tariff_cents_per_kwh * 6 as value_sixth_cents
from single
where
    nmi = $nmi
    and day between $first_day and $last_day
    and day not in (
        select day from meter_basis
        where nmi = $nmi
    )
