-- Files that hold the same rows: one row per pair of files, with how many rows are
-- equal in all five fields, how many are of the same site, moment and type with other
-- values, and what these rows are worth (AUD, without sign, of the second file).
-- Two rows with EVENT_IDs are never the same row here: one id counts once anyway, and
-- two ids are two events. A row without a time of day is only compared as a whole.
with counted as (
    select
        key,
        nmi,
        day,
        second,
        is_discharge,
        energy_kwh,
        tariff_cents_per_kwh,
        event_id is not null as has_id,
        count(*) as rows,
        min(line) as first_line
    from shared_rows
    group by
        key, nmi, day, second, is_discharge, energy_kwh, tariff_cents_per_kwh,
        event_id is not null
),

pairs as (
    select
        one.key,
        other.key as other_key,
        one.first_line as line,
        other.first_line as other_line,
        least(one.rows, other.rows) as rows,
        one.energy_kwh = other.energy_kwh
        and one.tariff_cents_per_kwh = other.tariff_cents_per_kwh as is_equal,
        abs(other.energy_kwh::decimal(27, 6) * other.tariff_cents_per_kwh)
        * least(one.rows, other.rows) as cents
    from counted as one
    inner join counted as other
        on
            one.key < other.key
            and one.nmi = other.nmi
            and one.day = other.day
            and one.second is not distinct from other.second
            and one.is_discharge = other.is_discharge
    where
        not (one.has_id and other.has_id)
        and (
            one.second is not null
            or (
                one.energy_kwh = other.energy_kwh
                and one.tariff_cents_per_kwh = other.tariff_cents_per_kwh
            )
        )
)

select
    key,
    other_key,
    coalesce(sum(rows) filter (is_equal), 0)::bigint as equal_rows,
    coalesce(sum(rows) filter (not is_equal), 0)::bigint as other_values_rows,
    (sum(cents) * 0.01::decimal(3, 2))::decimal(38, 12) as aud,
    min(line) as first_line,
    arg_min(other_line, line) as first_other_line
from pairs
group by key, other_key
order by key, other_key
