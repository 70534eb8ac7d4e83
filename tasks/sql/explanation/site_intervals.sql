-- The month's readings of one site in the shape of month_events: one row per interval
-- that has a value. As explanation/site_events gives it of events.
-- What events/valued_days passes on untouched, the key, carries the reading's origin:
-- file, member of a zip, line, channel, the interval's number and its end in market
-- time, its day's quality, and its price (whole 10^-5 AUD per MWh, sixfold) with the
-- files that the price is from.
with single as (
    select
        counted_readings.key,
        readings.member,
        counted_readings.line,
        counted_readings.suffix,
        counted_readings.serial,
        counted_readings.nmi,
        counted_readings.day,
        counted_readings.region,
        counted_readings.interval_minutes,
        counted_readings.quality,
        counted_readings.is_discharge,
        generate_subscripts(readings.micro_kwh, 1) as number,
        unnest(readings.micro_kwh) as micro_kwh
    from read_parquet($readings, filename = true, file_row_number = true) as readings
    inner join counted_readings
        on
            readings.filename = counted_readings.filename
            and readings.file_row_number = counted_readings.file_row_number
    where counted_readings.nmi = $nmi
),

lengths as (
    select distinct
        region,
        day,
        interval_minutes
    from single
),

prices as (
    select
        lengths.region,
        lengths.day,
        lengths.interval_minutes,
        (price_slots.slot - 1) * 5 // lengths.interval_minutes + 1 as number,
        sum((price_slots.price_aud_per_mwh * 100000)::hugeint)
        * 6 * 5 // lengths.interval_minutes as price,
        list(distinct price_slots.key order by price_slots.key) as files
    from lengths
    inner join price_slots
        on lengths.region = price_slots.region and lengths.day = price_slots.day
    group by
        lengths.region,
        lengths.day,
        lengths.interval_minutes,
        (price_slots.slot - 1) * 5 // lengths.interval_minutes + 1
),

priced as (
    select
        single.*,
        prices.price,
        prices.files,
        single.micro_kwh::hugeint * prices.price as value
    from single
    inner join prices
        on
            single.region = prices.region
            and single.day = prices.day
            and single.interval_minutes = prices.interval_minutes
            and single.number = prices.number
    where single.micro_kwh is not null
)

select
    {
        file: key,
        member: member,
        line: line,
        suffix: suffix,
        serial: serial,
        number: number,
        ends: day::timestamp + to_minutes(number * interval_minutes),
        quality: quality,
        price: price,
        price_files: files
    } as key,
    nmi,
    day,
    is_discharge,
    price < 0 as is_negative_tariff,
    true as is_metered,
    1::bigint as events,
    (micro_kwh::decimal(32, 0) * 0.000001::decimal(6, 6))::decimal(38, 6)
        as energy_kwh,
    (
        (value // 1000000000000)::decimal(38, 12)
        + (value % 1000000000000)::decimal(12, 0) * 0.000000000001::decimal(12, 12)
    )::decimal(38, 12) as value_sixth_cents
from priced
