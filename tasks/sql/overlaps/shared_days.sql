-- Where two files may hold the same events: one row per site and day of the month on
-- which the events of two files overlap in time (seconds of the day, market time). Of
-- files that are cut by time, site or day there are none, so this costs little.
with parts as (
    select
        key,
        nmi,
        day,
        first_second,
        last_second
    from counted_days($daily, 'inputs', $first_day, $last_day)

    union all

    select
        key,
        nmi,
        day,
        coalesce(second, 0) as first_second,
        coalesce(second, 86400) as last_second
    from corrections
),

ranges as (
    select
        key,
        nmi,
        day,
        min(first_second) as first_second,
        max(last_second) as last_second
    from parts
    group by key, nmi, day
),

-- Those with two files; most have one, and are not put in order.
site_days as (
    select
        nmi,
        day
    from ranges
    group by nmi, day
    having count(*) > 1
),

followed as (
    select
        ranges.nmi,
        ranges.day,
        ranges.first_second,
        max(ranges.last_second) over (
            partition by ranges.nmi, ranges.day order by ranges.first_second, ranges.key
            rows between unbounded preceding and 1 preceding
        ) as reached_second
    from ranges
    semi join site_days
        on ranges.nmi = site_days.nmi and ranges.day = site_days.day
)

select distinct
    nmi,
    day
from followed
where first_second <= reached_second
