-- Days of the month on which a VPP (of $vpps) has sites and none of them has an event:
-- one row per VPP with any such day, with the list of its runs of days, oldest first.
with active as (
    select
        vpp,
        day
    from valued_days
    where vpp is not null
    group by vpp, day
    having sum(events) > 0
),

member_runs as (
    select distinct
        vpp,
        first_day,
        last_day
    from memberships
    where vpp in (select unnest($vpps::varchar[]))
),

run_days as (
    select
        vpp,
        unnest(generate_series(first_day, last_day, interval 1 day))::date as day
    from member_runs
),

member_days as (
    select distinct
        vpp,
        day
    from run_days
),

silent as (
    select
        member_days.vpp,
        member_days.day,
        day(member_days.day)
        - row_number() over (partition by member_days.vpp order by member_days.day)
            as run
    from member_days
    anti join active
        on member_days.vpp = active.vpp and member_days.day = active.day
),

runs as (
    select
        vpp,
        min(day) as first_day,
        max(day) as last_day
    from silent
    group by vpp, run
)

select
    vpp,
    list({ first_day: first_day, last_day: last_day } order by first_day)
        as days_without_events
from runs
group by vpp
order by vpp
