-- Steps 9 and 10: one row per VPP and site, money in whole cents.
-- `allotted` holds step 8. Under terms with negative_balances = 'vpp' a negative amount
-- is lifted to zero; what that cost the VPP is loss_absorbed_cents (never positive).
with before_fees as (
    select
        allotted.vpp,
        allotted.nmi,
        least(allotted.cents, 0) * (vpp_months.negative_balances = 'vpp')::int
            as loss_absorbed_cents,
        allotted.cents
        - least(allotted.cents, 0) * (vpp_months.negative_balances = 'vpp')::int
            as before_fees_cents
    from allotted
    inner join vpp_months
        on allotted.vpp = vpp_months.vpp
),

fees as (
    select
        before_fees.vpp,
        before_fees.nmi,
        before_fees.loss_absorbed_cents,
        before_fees.before_fees_cents,
        least(greatest(before_fees.before_fees_cents, 0), site_months.fee_due_cents)
            as fee_cents
    from before_fees
    inner join site_months
        on before_fees.vpp = site_months.vpp and before_fees.nmi = site_months.nmi
)

select
    vpp,
    nmi,
    loss_absorbed_cents::bigint as loss_absorbed_cents,
    before_fees_cents::bigint as before_fees_cents,
    fee_cents::bigint as fee_cents,
    (before_fees_cents - fee_cents)::bigint as after_fees_cents
from fees
