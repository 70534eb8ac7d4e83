-- An import's daily sums of those of its parts, where they are too many for memory: one
-- row per source file, site, day, event type and sign of the tariff, in that order.
-- Columns and units are those of daily.parquet (imports/daily_sums.py).
select
    source,
    nmi,
    day,
    is_discharge,
    is_negative_tariff,
    sum(events)::bigint as events,
    sum(energy_kwh) as energy_kwh,
    sum(value_cents) as value_cents,
    min(first_second) as first_second,
    max(last_second) as last_second
from read_parquet($sums)
group by source, nmi, day, is_discharge, is_negative_tariff
order by source, nmi, day, is_discharge, is_negative_tariff
