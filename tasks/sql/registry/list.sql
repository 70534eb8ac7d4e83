-- What is there on a day, from spans of that day: VPPs, then sites, then batteries, by
-- id; one row each. What an entity has not, or was not given, is null.
-- A site's capacity is that of its batteries; its region that of its NMI's block
-- ($blocks, each with one of $regions), unless another one was given.
with entities as (
    select
        kind,
        id,
        max(value) filter (attribute = 'name') as name,
        max(value) filter (attribute = 'vpp') as vpp,
        max(value) filter (attribute = 'nmi') as nmi,
        max(value) filter (attribute = 'address') as address,
        max(value) filter (attribute = 'manufacturer') as manufacturer,
        max(value) filter (attribute = 'capacity_kwh') as capacity_kwh,
        max(value) filter (attribute = 'region') as region,
        max(value) filter (attribute = 'channels') as channels,
        max(value) filter (attribute = 'basis') as basis,
        max(value) filter (attribute = 'revenue_percentage') as revenue_percentage,
        max(value) filter (attribute = 'daily_fee_aud') as daily_fee_aud,
        max(value) filter (attribute = 'charge_events') as charge_events,
        max(value) filter (attribute = 'negative_balances') as negative_balances,
        max(seq) as last_change
    from spans
    group by kind, id
),

capacities as (
    select
        nmi,
        rtrim(rtrim(sum(capacity_kwh::decimal(15, 6))::varchar, '0'), '.')
            as capacity_kwh
    from entities
    where kind = 'battery'
    group by nmi
),

blocks as (
    select
        unnest($blocks::varchar[]) as block,
        unnest($regions::varchar[]) as region
)

select
    entities.kind,
    entities.id,
    entities.name,
    if(entities.kind = 'vpp', entities.id, entities.vpp) as vpp,
    if(entities.kind = 'site', entities.id, entities.nmi) as nmi,
    entities.address,
    entities.manufacturer,
    if(
        entities.kind = 'site',
        coalesce(capacities.capacity_kwh, '0'),
        entities.capacity_kwh
    ) as capacity_kwh,
    coalesce(entities.region, blocks.region) as region,
    if(entities.kind = 'site', coalesce(entities.channels, $all_channels), null)
        as channels,
    entities.basis,
    entities.revenue_percentage,
    entities.daily_fee_aud,
    entities.charge_events,
    entities.negative_balances,
    entities.last_change
from entities
left join capacities
    on entities.kind = 'site' and entities.id = capacities.nmi
left join blocks
    on entities.kind = 'site' and starts_with(entities.id, blocks.block)
order by
    case entities.kind when 'vpp' then 1 when 'site' then 2 else 3 end,
    entities.id
