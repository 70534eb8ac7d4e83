-- The registry as it was known at $as_of, within the month: one row per entity,
-- attribute and span of days on which it had one value, with the change (seq) that said
-- so. Kinds: vpp, site, battery. A null value is said, not missing: a site of no VPP, a
-- battery at no site.
-- On each day the change with the greatest effective_from up to it counts; among equals
-- the last. What a withdrawal that was recorded by then names counts as never made.
with recorded as (
    select
        seq,
        change,
        coalesce(effective_from, date '0001-01-01') as since,
        vpp,
        nmi,
        serial,
        name,
        revenue_percentage,
        daily_fee_aud,
        charge_events,
        negative_balances,
        address,
        manufacturer,
        capacity_kwh,
        region,
        channels,
        basis,
        withdraws
    from read_parquet($changes)
    where recorded_at <= $as_of and seq <= $last_seq
),

changes as (
    select recorded.*
    from recorded
    anti join recorded as withdrawal
        on recorded.seq = withdrawal.withdraws
),

facts as (
    select
        'vpp' as kind,
        vpp as id,
        seq,
        since,
        unnest([
            { attribute: 'name', value: name },
            { attribute: 'revenue_percentage', value: revenue_percentage },
            { attribute: 'daily_fee_aud', value: daily_fee_aud },
            { attribute: 'charge_events', value: charge_events },
            { attribute: 'negative_balances', value: negative_balances }
        ]) as fact
    from changes
    where change in ('create-vpp', 'update-vpp')
    union all
    select
        'site' as kind,
        nmi as id,
        seq,
        since,
        unnest([
            { attribute: 'address', value: address },
            { attribute: 'region', value: region },
            { attribute: 'channels', value: channels },
            { attribute: 'basis', value: basis }
        ]) as fact
    from changes
    where change in ('create-site', 'update-site')
    union all
    select
        'site' as kind,
        nmi as id,
        seq,
        since,
        { attribute: 'vpp', value: vpp } as fact
    from changes
    where change in ('create-site', 'assign-site')
    union all
    select
        'battery' as kind,
        serial as id,
        seq,
        since,
        { attribute: 'capacity_kwh', value: capacity_kwh } as fact
    from changes
    where change in ('add-battery', 'update-battery')
    union all
    select
        'battery' as kind,
        serial as id,
        seq,
        since,
        { attribute: 'nmi', value: nmi } as fact
    from changes
    where change in ('add-battery', 'remove-battery')
),

said as (
    select
        kind,
        id,
        fact.attribute as attribute,
        fact.value as value,
        seq,
        since
    from facts
    where fact.value is not null or fact.attribute in ('vpp', 'nmi')
),

lasting as (
    select
        kind,
        id,
        attribute,
        value,
        seq,
        since,
        lead(since, 1, date '9999-12-31')
            over (partition by kind, id, attribute order by since, seq) as superseded
    from said
)

select
    kind,
    id,
    attribute,
    value,
    seq,
    greatest(since, $first_day) as first_day,
    least(superseded - 1, $last_day) as last_day
from lasting
where since < superseded and since <= $last_day and superseded > $first_day
