-- How the meters of member sites count: one row per site and day in a VPP, for sites
-- that have meter data in the month or whose basis is their meter; without the days on
-- which their basis is events.
-- region: as the registry says, else by the block that the NMI is from ($regions and
-- $blocks side by side), else null. Suffixes: null is all, E for charge and B for
-- discharge.
with metered as (
    select distinct nmi
    from reading_versions
    union distinct
    select distinct nmi
    from meter_basis
),

days as (
    select
        memberships.vpp,
        memberships.nmi,
        unnest(
            generate_series(
                memberships.first_day, memberships.last_day, interval 1 day
            )
        )::date as day
    from memberships
    semi join metered
        on memberships.nmi = metered.nmi
),

settings as (
    select
        id as nmi,
        attribute,
        value,
        unnest(generate_series(first_day, last_day, interval 1 day))::date as day
    from spans
    where
        kind = 'site'
        and attribute in ('region', 'channels', 'basis')
        and id in (select nmi from metered)
),

chosen as (
    select
        nmi,
        day,
        max(value) filter (attribute = 'region') as region,
        max(value) filter (attribute = 'channels' and value != 'all') as channels,
        max(value) filter (attribute = 'basis') as basis
    from settings
    group by nmi, day
),

blocks as (
    select
        unnest($regions::varchar[]) as region,
        unnest($blocks::varchar[]) as block
),

default_regions as (
    select
        metered.nmi,
        min(blocks.region) as region
    from metered
    inner join blocks
        on starts_with(metered.nmi, blocks.block)
    group by metered.nmi
)

select
    days.vpp,
    days.nmi,
    days.day,
    coalesce(chosen.region, default_regions.region) as region,
    coalesce(chosen.basis = 'meter', false) as is_meter_basis,
    list_filter(
        string_split(chosen.channels, ' '), lambda suffix: suffix[1] = 'E'
    ) as charge_suffixes,
    list_filter(
        string_split(chosen.channels, ' '), lambda suffix: suffix[1] = 'B'
    ) as discharge_suffixes
from days
left join chosen
    on days.nmi = chosen.nmi and days.day = chosen.day
left join default_regions
    on days.nmi = default_regions.nmi
where coalesce(chosen.basis, 'meter') = 'meter'
