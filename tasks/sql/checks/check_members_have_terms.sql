-- A VPP has terms on every day on which a site is its member.
with runs as (
    select
        vpp,
        first_day,
        last_day,
        min(nmi) as nmi
    from memberships
    group by vpp, first_day, last_day
),

days as (
    select
        vpp,
        nmi,
        unnest(generate_series(first_day, last_day, interval 1 day))::date as day
    from runs
)

select
    days.vpp,
    days.nmi,
    days.day
from days
anti join vpp_days
    on days.vpp = vpp_days.vpp and days.day = vpp_days.day
