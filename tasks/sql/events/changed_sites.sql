-- Sites whose events are not the same in the files that were replaced: one row each.
-- The schemas `before` and `after` have `inputs`: these files as they were and are.
with daily as (
    select
        *,
        -1 as side
    from counted_days($before, 'before.inputs', $first_day, $last_day)

    union all

    select
        *,
        1 as side
    from counted_days($after, 'after.inputs', $first_day, $last_day)
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
