-- How many of the month's events are of `elsewhere_sites`: one row. What counts is as
-- in events/month_events.
with event_days as (
    select
        nmi,
        events
    from counted_days($daily, 'inputs', $first_day, $last_day)

    union all

    select
        nmi,
        1 as events
    from corrections
    where day between $first_day and $last_day

    union all

    select
        nmi,
        -1 as events
    from repeats
    where day between $first_day and $last_day
)

select coalesce(sum(event_days.events), 0)::bigint as events
from event_days
semi join elsewhere_sites
    on event_days.nmi = elsewhere_sites.nmi
