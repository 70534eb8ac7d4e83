-- Steps 3 to 5: one row per VPP ($vpps) and day of the month on which it exists.
-- total_sixth_cents: T(v,d); ad_valorem_sixth_cents: the VPP's percentage of it;
-- own_share_of_worth: the part of each event's worth that stays with its site, the own
-- share (80%) of the rest; pool_sixth_cents: the 20% that are split by capacity. Where
-- no member has any, all the rest stays.
-- Sixths of a cent have 12, 18 and 20 decimals: products only, so nothing is rounded.
-- They fit 38 digits, since allocation/immense_vpps bounds the sums at 10^18.
with revenue as (
    select
        vpp,
        day,
        sum(shared_sixth_cents) as total_sixth_cents
    from site_days_revenue
    group by vpp, day
),

runs as (
    select
        vpp,
        first_day,
        last_day,
        sum(capacity_kwh) as capacity_kwh
    from memberships
    where vpp in (select unnest($vpps::varchar[]))
    group by vpp, first_day, last_day
),

run_days as (
    select
        vpp,
        capacity_kwh,
        unnest(generate_series(first_day, last_day, interval 1 day))::date as day
    from runs
),

capacity as (
    select
        vpp,
        day,
        sum(capacity_kwh)::decimal(18, 6) as capacity_kwh
    from run_days
    group by vpp, day
),

days as (
    select
        vpp_days.vpp,
        vpp_days.day,
        vpp_days.revenue_share,
        vpp_days.own_share,
        coalesce(capacity.capacity_kwh, 0)::decimal(18, 6) as capacity_kwh,
        coalesce(revenue.total_sixth_cents, 0)::decimal(31, 12) as total_sixth_cents
    from vpp_days
    left join capacity
        on vpp_days.vpp = capacity.vpp and vpp_days.day = capacity.day
    left join revenue
        on vpp_days.vpp = revenue.vpp and vpp_days.day = revenue.day
    where vpp_days.vpp in (select unnest($vpps::varchar[]))
)

select
    vpp,
    day,
    capacity_kwh,
    total_sixth_cents,
    total_sixth_cents * revenue_share as ad_valorem_sixth_cents,
    ((1 - revenue_share) * case when capacity_kwh > 0 then own_share else 1 end)
    ::decimal(9, 8) as own_share_of_worth,
    case
        when capacity_kwh > 0
            then
                total_sixth_cents
                * (1 - revenue_share)::decimal(7, 6)
                * (1 - own_share)::decimal(3, 2)
        else 0
    end as pool_sixth_cents
from days
