-- Step 7: one row per VPP that exists in the month, each sum rounded to a cent once,
-- halves away from zero (as round() does on decimals).
-- The name and who bears negative balances are those of its last day in the month.
with revenue as (
    select
        vpp,
        sum(cost_only_cents) as cost_only_cents
    from site_days_revenue
    group by vpp
),

sums as (
    select
        vpp,
        sum(total_cents) as total_cents,
        sum(ad_valorem_cents) as ad_valorem_cents
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
)

select
    last_days.vpp,
    last_days.name,
    last_days.negative_balances,
    round(sums.total_cents)::bigint as total_revenue_cents,
    round(sums.ad_valorem_cents)::bigint as ad_valorem_cents,
    round(coalesce(revenue.cost_only_cents, 0))::bigint as cost_only_cents
from last_days
inner join sums
    on last_days.vpp = sums.vpp
left join revenue
    on last_days.vpp = revenue.vpp
