-- The files that a VPP's report rests on, those with events of its sites: one row per
-- VPP, with the list of its files in the order of their keys.
with counted as (
    select
        vpp,
        key,
        sum(events)::bigint as rows
    from valued_days
    where vpp is not null
    group by vpp, key
    having sum(events) > 0
)

select
    counted.vpp,
    list(
        { key: counted.key, etag: inputs.etag, rows: counted.rows }
        order by counted.key
    ) as inputs
from counted
inner join inputs
    on counted.key = inputs.key
group by counted.vpp
