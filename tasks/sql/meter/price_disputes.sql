-- Prices that contradict the winning one, with nothing that says which of the two is
-- newer: one row per region, day, slot and file, settled on neither.
-- One with a LASTCHANGED before that of the winning price was revised: no dispute.
select
    price_offers.region,
    price_offers.day,
    price_offers.slot,
    price_slots.price_aud_per_mwh,
    price_slots.key,
    min(price_offers.price_aud_per_mwh) as other_price_aud_per_mwh,
    price_offers.key as other_key
from price_offers
inner join price_slots
    on
        price_offers.region = price_slots.region
        and price_offers.day = price_slots.day
        and price_offers.slot = price_slots.slot
        and price_offers.is_dispatch = price_slots.is_dispatch
where
    price_offers.price_aud_per_mwh != price_slots.price_aud_per_mwh
    and not coalesce(price_offers.last_changed < price_slots.last_changed, false)
group by
    price_offers.region,
    price_offers.day,
    price_offers.slot,
    price_slots.price_aud_per_mwh,
    price_slots.key,
    price_offers.key
order by
    price_offers.region, price_offers.day, price_offers.slot, price_offers.key
