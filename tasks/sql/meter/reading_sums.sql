-- The join with prices, on region, day and the interval's number: one row per reading
-- and sign of the price.
-- A day's values and its prices are two lists of the same length, unnested side by
-- side. micro_kwh and value are whole numbers, so exact: value is in 10^-12 of a sixth
-- of a cent, since micro-kWh x 10^-5 AUD per MWh is 10^-12 cents, and prices are
-- sixfold. A product beyond 64 bits is an error, never a wrong number (see
-- settlement/meter.py). The joins are done in the order in which they stand here: lists
-- of prices are looked up, and never kept for all readings.
with priced as (
    select
        counted_readings.reading,
        readings.micro_kwh,
        price_days.prices
    from read_parquet($readings, filename = true, file_row_number = true) as readings
    inner join counted_readings
        on
            readings.filename = counted_readings.filename
            and readings.file_row_number = counted_readings.file_row_number
    inner join price_days
        on
            counted_readings.region = price_days.region
            and counted_readings.day = price_days.day
            and counted_readings.interval_minutes = price_days.interval_minutes
),

intervals as (
    select
        reading,
        unnest(micro_kwh) as micro_kwh,
        unnest(prices) as price
    from priced
)

select
    reading,
    price < 0 as is_negative_tariff,
    count(micro_kwh) as intervals,
    coalesce(sum(micro_kwh), 0) as micro_kwh,
    coalesce(sum(micro_kwh * price), 0) as value
from intervals
group by reading, price < 0
