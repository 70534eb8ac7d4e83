-- How each site's amount before fees is made up: one row per site of the VPP.
-- Whole cents, but for own_cents, its own part of its events' worth, to 12 decimals.
-- What lies between that and allotted_cents is its part of the pools and its rounding.
-- lifted_cents: a negative amount that the VPP bears, as positive.
select
    site_months.nmi,
    decimal_division(site_months.own_sixth_cents, 6, 12) as own_cents,
    allotted.cents as allotted_cents,
    -site_statements.loss_absorbed_cents as lifted_cents,
    site_months.fee_due_cents
from site_months
inner join allotted
    on site_months.vpp = allotted.vpp and site_months.nmi = allotted.nmi
inner join site_statements
    on
        site_months.vpp = site_statements.vpp
        and site_months.nmi = site_statements.nmi
where site_months.vpp = $vpp
