-- The winning price: one row per region, day and slot of 5 minutes that has any.
-- TRADINGPRICE and PRICE_AND_DEMAND are the settlement price, and the latest
-- LASTCHANGED of them wins; DISPATCHPRICE counts where neither is there. Where equal
-- prices stand in several files, the first by name and line is named.
select
    region,
    day,
    slot,
    price_aud_per_mwh,
    kind,
    is_dispatch,
    last_changed,
    key,
    line
from price_offers
qualify
    row_number() over (
        partition by region, day, slot
        order by
            is_dispatch asc,
            last_changed desc nulls last,
            price_aud_per_mwh asc,
            key asc,
            line asc
    ) = 1
