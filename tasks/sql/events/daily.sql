-- What a settlement needs of the events, for any terms: one row per source file, site,
-- day, event type and sign of the tariff, in that order. Events that correct a rejected
-- row are left out: whether one counts depends on what else is in the inbox.
-- energy_kwh is their sum; value_cents the exact sum of energy x tariff (kWh x cents
-- per kWh, 12 decimals), without the sign that the event type gives it.
-- first_second and last_second are those of the day in market time, 0 to 86400; an
-- event whose DATE is a day alone may be at any of them.
-- (DuckDB keeps the product of two 64-bit decimals in 64 bits unless one is widened.)
select
    source,
    nmi,
    day,
    is_discharge,
    tariff_cents_per_kwh < 0 as is_negative_tariff,
    count(*) as events,
    sum(energy_kwh) as energy_kwh,
    sum(energy_kwh::decimal(27, 6) * tariff_cents_per_kwh) as value_cents,
    min(coalesce(second, 0)) as first_second,
    max(coalesce(second, 86400)) as last_second
from read_parquet($events)
where rejected_id is null
group by source, nmi, day, is_discharge, tariff_cents_per_kwh < 0
order by source, nmi, day, is_discharge, is_negative_tariff
