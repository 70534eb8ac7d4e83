-- The events of the site days that two files share: one row per event, with its file
-- and line. kWh and cents per kWh; second is null where its DATE is a day alone.
with single as (
    select
        inputs.key,
        events.line,
        events.nmi,
        events.day,
        events.second,
        events.is_discharge,
        events.energy_kwh,
        events.tariff_cents_per_kwh,
        events.event_id
    from read_parquet($events, filename = true) as events
    inner join inputs
        on
            parse_filename(events.filename, true) = inputs.import_id
            and events.source = inputs.source
    where events.rejected_id is null

    union all

    select
        key,
        line,
        nmi,
        day,
        second,
        is_discharge,
        energy_kwh,
        tariff_cents_per_kwh,
        event_id
    from corrections
)

select
    single.key,
    single.line,
    single.nmi,
    single.day,
    single.second,
    single.is_discharge,
    single.energy_kwh,
    single.tariff_cents_per_kwh,
    single.event_id
from single
semi join shared_days
    on single.nmi = shared_days.nmi and single.day = shared_days.day
