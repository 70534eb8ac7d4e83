-- The month's prices as the files give them, in slots of 5 minutes: one row per price,
-- and six of them for a price of 30 minutes.
-- slot counts the day's 288 from 1. price_aud_per_mwh is what would be settled on:
-- DISPATCHPRICE has 5 decimals and is rounded as AEMO does it, to 2, halves away from
-- zero; the others are taken as they are.
-- price_files names what counts: the sources of each import that are in the inbox now.
select
    price_files.key,
    prices.line,
    prices.kind,
    prices.kind = 'DISPATCHPRICE' as is_dispatch,
    prices.region,
    prices.day,
    unnest(
        range(
            (prices.number - 1) * prices.interval_minutes // 5 + 1,
            prices.number * prices.interval_minutes // 5 + 1
        )
    )::smallint as slot,
    case
        when prices.kind = 'DISPATCHPRICE' then round(prices.price_aud_per_mwh, 2)
        else prices.price_aud_per_mwh
    end::decimal(18, 5) as price_aud_per_mwh,
    prices.last_changed
from read_parquet($prices, filename = true) as prices
inner join price_files
    on
        parse_filename(prices.filename, true) = price_files.import_id
        and prices.source = price_files.source
where prices.day between $first_day and $last_day
