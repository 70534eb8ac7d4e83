-- The registry as it was known at $as_of, within the month, as far as some attributes
-- say it: one row per entity, attribute and span of days on which it had one value,
-- with the change (seq) that said so.
-- $kind: vpp, site or battery; $id: the column that names one; $attributes: also the
-- columns that say them, all in changes of the kinds in $said_by. $ids: of which
-- entities (null: of all). A null value is said, not missing: a site of no VPP, a
-- battery at no site.
-- On each day the change with the greatest effective_from up to it counts; among equals
-- the last. What a withdrawal names (registry/withdrawn) counts as never made.
-- What nearly every entity has is asked for alone: to sort all that is said by kind, id
-- and attribute costs three times as much.
with changes as (
    select
        columns($id) as id,
        columns($attributes),
        seq,
        change,
        coalesce(effective_from, date '0001-01-01') as since
    from read_parquet($changes)
    where
        list_contains($said_by::varchar[], change)
        and recorded_at <= $as_of
        and seq <= $last_seq
),

-- By the columns' names, as they come in the order of the table.
values_said as (
    select
        id,
        attribute,
        value,
        seq,
        change,
        since
    from changes
    unpivot include nulls (value for attribute in (columns($attributes)))
),

said as (
    select
        id,
        attribute,
        value,
        seq,
        since
    from values_said
    anti join withdrawn
        on values_said.seq = withdrawn.seq
    where
        (value is not null or change in ('assign-site', 'remove-battery'))
        and ($ids::varchar[] is null or id in (select unnest($ids::varchar[])))
),

lasting as (
    select
        id,
        attribute,
        value,
        seq,
        since,
        lead(since, 1, date '9999-12-31')
            over (partition by id, attribute order by since, seq) as superseded
    from said
)

select
    $kind as kind,
    id,
    attribute,
    value,
    seq,
    greatest(since, $first_day) as first_day,
    least(superseded - 1, $last_day) as last_day
from lasting
where since < superseded and since <= $last_day and superseded > $first_day
