-- For every VPP: total_revenue + vpp_cost_only = vpp_total_revenue + what its sites get
-- after fees.
select
    vpp,
    total_revenue_cents
    + cost_only_cents
    - vpp_total_revenue_cents
    - sites_after_fees_cents
        as cents_too_many
from vpp_statements
where
    total_revenue_cents + cost_only_cents
    != vpp_total_revenue_cents + sites_after_fees_cents
