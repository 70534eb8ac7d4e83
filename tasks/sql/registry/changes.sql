-- The lines of a part of the registry's log ($lines) as columns: one row per change, in
-- their order. `line` is the line itself. What a change does not say is null.
-- Days and moments are cast here, since an error must be one, and not a null.
with parsed as (
    select
        json::varchar as line,
        json_transform(
            json,
            '{
                "seq": "VARCHAR",
                "recorded_at": "VARCHAR",
                "change": "VARCHAR",
                "effective_from": "VARCHAR",
                "vpp": "VARCHAR",
                "nmi": "VARCHAR",
                "serial": "VARCHAR",
                "name": "VARCHAR",
                "revenue_percentage": "VARCHAR",
                "daily_fee_aud": "VARCHAR",
                "charge_events": "VARCHAR",
                "negative_balances": "VARCHAR",
                "address": "VARCHAR",
                "manufacturer": "VARCHAR",
                "capacity_kwh": "VARCHAR",
                "region": "VARCHAR",
                "channels": "VARCHAR",
                "basis": "VARCHAR",
                "withdraws": "VARCHAR"
            }'
        ) as said
    from read_json_objects($lines, format = 'newline_delimited')
)

select
    said.seq::bigint as seq,
    said.recorded_at::timestamptz as recorded_at,
    said.change,
    said.effective_from::date as effective_from,
    said.vpp,
    said.nmi,
    said.serial,
    said.name,
    said.revenue_percentage,
    said.daily_fee_aud,
    said.charge_events,
    said.negative_balances,
    said.address,
    said.manufacturer,
    said.capacity_kwh,
    said.region,
    said.channels,
    said.basis,
    said.withdraws::bigint as withdraws,
    line
from parsed
