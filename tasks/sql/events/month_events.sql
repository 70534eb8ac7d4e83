-- The month's daily sums, each with the inbox object that it came from: one row per
-- object, site, day, event type and sign of the tariff.
-- `inputs` names what counts: the sources of each import that are in the inbox now, and
-- of objects with the same content only one.
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
