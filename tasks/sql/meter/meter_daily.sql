-- Daily sums of meter data, as events/month_events gives them of events: one row per
-- object, site, day, direction and sign of the price.
-- events: readings that are there. energy_kwh is exact. value_sixth_cents is six times
-- the exact sum of energy x price in cents, 12 decimals: a mean of 3 or 6 prices has
-- thirds, which are no decimals, and its sixfold has none. Without the sign that the
-- direction gives it.
with sums as (
    select
        counted_readings.key,
        counted_readings.nmi,
        counted_readings.day,
        counted_readings.is_discharge,
        reading_sums.is_negative_tariff,
        sum(reading_sums.intervals)::bigint as events,
        sum(reading_sums.micro_kwh)::decimal(32, 0) as micro_kwh,
        sum(reading_sums.value) as value
    from reading_sums
    inner join counted_readings on reading_sums.reading = counted_readings.reading
    group by
        counted_readings.key,
        counted_readings.nmi,
        counted_readings.day,
        counted_readings.is_discharge,
        reading_sums.is_negative_tariff
    having sum(reading_sums.intervals) > 0
)

select
    key,
    nmi,
    day,
    is_discharge,
    is_negative_tariff,
    events,
    (micro_kwh * 0.000001::decimal(6, 6))::decimal(38, 6) as energy_kwh,
    -- // and % truncate alike, so the two parts have one sign and add up.
    (
        (value // 1000000000000)::decimal(38, 12)
        + (value % 1000000000000)::decimal(12, 0) * 0.000000000001::decimal(12, 12)
    )::decimal(38, 12) as value_sixth_cents
from sums
order by key, nmi, day, is_discharge, is_negative_tariff
