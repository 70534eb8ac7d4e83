-- Who is a member of what: one row per site and run of days of the month in one VPP,
-- with the battery capacity (kWh) that is installed there on all of these days; null in
-- a VPP that is not settled (in $vpps).
-- A site that changes nothing has one row, not one for each day: what is computed of
-- them grows with the sites, not with the days.
with places as (
    select
        value as vpp,
        id as nmi,
        first_day,
        last_day
    from spans
    where kind = 'site' and attribute = 'vpp' and value is not null
),

installed as (
    select
        place.value as nmi,
        capacity.value::decimal(15, 6) as capacity_kwh,
        greatest(place.first_day, capacity.first_day) as first_day,
        least(place.last_day, capacity.last_day) as last_day
    from spans as place
    inner join spans as capacity
        on place.id = capacity.id
    where
        place.kind = 'battery'
        and place.attribute = 'nmi'
        and place.value is not null
        and capacity.kind = 'battery'
        and capacity.attribute = 'capacity_kwh'
        and place.first_day <= capacity.last_day
        and capacity.first_day <= place.last_day
),

cuts as (
    select
        nmi,
        first_day as day
    from installed
    where first_day > $first_day
    union distinct
    select
        nmi,
        last_day + 1 as day
    from installed
    where last_day < $last_day
),

starts as (
    select
        vpp,
        nmi,
        first_day,
        last_day
    from places
    union all
    select
        places.vpp,
        places.nmi,
        cuts.day as first_day,
        places.last_day
    from places
    inner join cuts
        on
            places.nmi = cuts.nmi
            and places.first_day < cuts.day
            and places.last_day >= cuts.day
),

runs as (
    select
        vpp,
        nmi,
        first_day,
        least(
            last_day, lead(first_day) over (partition by nmi order by first_day) - 1
        ) as last_day
    from starts
),

capacities as (
    select
        runs.nmi,
        runs.first_day,
        sum(installed.capacity_kwh) as capacity_kwh
    from runs
    inner join installed
        on
            runs.nmi = installed.nmi
            and runs.first_day between installed.first_day and installed.last_day
    group by runs.nmi, runs.first_day
)

select
    runs.vpp,
    runs.nmi,
    runs.first_day,
    runs.last_day,
    case
        when runs.vpp in (select unnest($vpps::varchar[]))
            then coalesce(capacities.capacity_kwh, 0)::decimal(18, 6)
    end as capacity_kwh
from runs
left join capacities
    on runs.nmi = capacities.nmi and runs.first_day = capacities.first_day
