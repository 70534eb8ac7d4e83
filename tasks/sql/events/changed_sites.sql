-- Sites whose events are not the same in the files that were replaced: one row each.
-- The schemas `before` and `after` have `inputs`: these files as they were and are.
with daily as (
    select
        -1 as side,
        daily.nmi,
        daily.day,
        daily.is_discharge,
        daily.is_negative_tariff,
        daily.events,
        daily.energy_kwh,
        daily.value_cents
    from read_parquet($before, filename = true) as daily
    inner join before.inputs as inputs
        on
            parse_filename(daily.filename, true) = inputs.import_id
            and daily.source = inputs.source
    where daily.day between $first_day and $last_day

    union all

    select
        1 as side,
        daily.nmi,
        daily.day,
        daily.is_discharge,
        daily.is_negative_tariff,
        daily.events,
        daily.energy_kwh,
        daily.value_cents
    from read_parquet($after, filename = true) as daily
    inner join after.inputs as inputs
        on
            parse_filename(daily.filename, true) = inputs.import_id
            and daily.source = inputs.source
    where daily.day between $first_day and $last_day
),

changed as (
    select nmi
    from daily
    group by nmi, day, is_discharge, is_negative_tariff
    having
        sum(side * events) != 0
        or sum(side * energy_kwh) != 0
        or sum(side * value_cents) != 0
)

select distinct nmi
from changed
