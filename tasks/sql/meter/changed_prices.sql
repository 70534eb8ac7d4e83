-- Prices that another one took the place of from one settlement to another: one row per
-- region and day, with the slots of 5 minutes, and the first of the old and new prices
-- (AUD per MWh). The schemas `before` and `after` have the prices of each.
select
    old.region,
    old.day,
    list(old.slot order by old.slot) as slots,
    arg_min(old.price_aud_per_mwh, old.slot) as old_price,
    arg_min(new.price_aud_per_mwh, old.slot) as new_price
from before.price_slots as old
inner join after.price_slots as new
    on old.region = new.region and old.day = new.day and old.slot = new.slot
where
    old.region in (select unnest($regions::varchar[]))
    and old.price_aud_per_mwh != new.price_aud_per_mwh
group by old.region, old.day
order by old.region, old.day
