-- What became of one site's exact amount: its one row of the allotment (step 8) and of
-- the statements (steps 9 and 10), in cents, with what it brought in (in sixths).
select
    site_months.address,
    site_months.own_sixth_cents,
    site_months.fee_due_cents,
    allotted.cents as allotted_cents,
    site_statements.loss_absorbed_cents,
    site_statements.before_fees_cents,
    site_statements.fee_cents,
    site_statements.after_fees_cents
from site_months
inner join allotted
    on site_months.vpp = allotted.vpp and site_months.nmi = allotted.nmi
inner join site_statements
    on
        site_months.vpp = site_statements.vpp
        and site_months.nmi = site_statements.nmi
where site_months.vpp = $vpp and site_months.nmi = $nmi
