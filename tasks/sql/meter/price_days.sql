-- A day's prices as a meter sees them: one row per region, day whose 288 prices are all
-- there, and interval length (5, 15, 30 minutes).
-- prices: one per interval, in order, whole numbers: six times the mean price of the
-- interval, in 10^-5 AUD per MWh. A mean is over 1, 3 or 6 prices of 5 minutes, and its
-- thirds are no decimals; six times it is always whole.
with lengths as (
    select unnest([5, 15, 30])::smallint as interval_minutes
),

intervals as (
    select
        price_slots.region,
        price_slots.day,
        lengths.interval_minutes,
        (price_slots.slot - 1) * 5 // lengths.interval_minutes as place,
        count(*) as slots,
        sum((price_slots.price_aud_per_mwh * 100000)::hugeint)
        * 6 * 5 // lengths.interval_minutes as price
    from price_slots
    cross join lengths
    group by
        price_slots.region, price_slots.day, lengths.interval_minutes, place
)

select
    region,
    day,
    interval_minutes,
    list(price::bigint order by place) as prices
from intervals
group by region, day, interval_minutes
having sum(slots) = 288
