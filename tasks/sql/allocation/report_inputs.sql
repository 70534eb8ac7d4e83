-- The files that a VPP's report rests on: one row per VPP and inbox object with events
-- of its sites.
with counted as (
    select
        vpp,
        key,
        sum(events)::bigint as rows
    from placed_events
    where vpp is not null
    group by vpp, key
)

select
    counted.vpp,
    counted.key,
    inputs.etag,
    counted.rows,
    inputs.rejected_rows
from counted
inner join inputs
    on counted.key = inputs.key
order by counted.vpp, counted.key
