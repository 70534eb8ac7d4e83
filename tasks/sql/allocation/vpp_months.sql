-- Step 7: one row per VPP that exists in the month, each sum rounded to a cent once,
-- halves away from zero.
-- The sums are six times the cents: x / 6 without its sign, rounded, is
-- (the whole part of x + 3) // 6, in whole numbers.
-- The name and who bears negative balances are those of its last day in the month.
with revenue as (
    select
        vpp,
        sum(cost_only_sixth_cents) as cost_only_sixth_cents
    from site_days_revenue
    group by vpp
),

sums as (
    select
        vpp,
        sum(total_sixth_cents) as total_sixth_cents,
        sum(ad_valorem_sixth_cents) as ad_valorem_sixth_cents
    from pools
    group by vpp
),

last_days as (
    select
        vpp,
        max_by(name, day) as name,
        max_by(negative_balances, day) as negative_balances
    from vpp_days
    group by vpp
),

sixths as (
    select
        last_days.vpp,
        last_days.name,
        last_days.negative_balances,
        sums.total_sixth_cents,
        sums.ad_valorem_sixth_cents,
        coalesce(revenue.cost_only_sixth_cents, 0) as cost_only_sixth_cents
    from last_days
    inner join sums
        on last_days.vpp = sums.vpp
    left join revenue
        on last_days.vpp = revenue.vpp
)

select
    vpp,
    name,
    negative_balances,
    (
        sign(total_sixth_cents)
        * ((trunc(abs(total_sixth_cents))::hugeint + 3) // 6)
    )::bigint as total_revenue_cents,
    (
        sign(ad_valorem_sixth_cents)
        * ((trunc(abs(ad_valorem_sixth_cents))::hugeint + 3) // 6)
    )::bigint as ad_valorem_cents,
    (
        sign(cost_only_sixth_cents)
        * ((trunc(abs(cost_only_sixth_cents))::hugeint + 3) // 6)
    )::bigint as cost_only_cents
from sixths
