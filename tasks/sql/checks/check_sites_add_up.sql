-- For every VPP: what its sites get before fees is all that is left after the VPP's
-- percentage.
select
    vpp_months.vpp,
    vpp_months.total_revenue_cents
    - vpp_months.ad_valorem_cents
    - coalesce(
        sum(site_statements.before_fees_cents + site_statements.loss_absorbed_cents), 0
    )
        as cents_too_many
from vpp_months
left join site_statements
    on vpp_months.vpp = site_statements.vpp
group by vpp_months.vpp, vpp_months.total_revenue_cents, vpp_months.ad_valorem_cents
having
    vpp_months.total_revenue_cents - vpp_months.ad_valorem_cents
    != coalesce(
        sum(site_statements.before_fees_cents + site_statements.loss_absorbed_cents), 0
    )
