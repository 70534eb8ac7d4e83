-- Step 10: one row per VPP that exists in the month, money in whole cents.
with sites as (
    select
        vpp,
        sum(loss_absorbed_cents)::bigint as loss_absorbed_cents,
        sum(fee_cents)::bigint as fee_cents,
        sum(after_fees_cents)::bigint as after_fees_cents
    from site_statements
    group by vpp
)

select
    vpp_months.vpp,
    vpp_months.name,
    vpp_months.negative_balances,
    vpp_months.total_revenue_cents,
    vpp_months.ad_valorem_cents,
    vpp_months.cost_only_cents,
    coalesce(sites.loss_absorbed_cents, 0) as loss_absorbed_cents,
    coalesce(sites.fee_cents, 0) as fee_cents,
    vpp_months.ad_valorem_cents
    + vpp_months.cost_only_cents
    + coalesce(sites.loss_absorbed_cents, 0)
    + coalesce(sites.fee_cents, 0) as vpp_total_revenue_cents,
    coalesce(sites.after_fees_cents, 0) as sites_after_fees_cents
from vpp_months
left join sites
    on vpp_months.vpp = sites.vpp
