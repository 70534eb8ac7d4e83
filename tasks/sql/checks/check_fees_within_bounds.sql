-- A fee is never negative, never more than is due, and never takes a site below zero.
select
    site_statements.vpp,
    site_statements.nmi,
    site_statements.fee_cents,
    site_months.fee_due_cents,
    site_statements.before_fees_cents
from site_statements
inner join site_months
    on
        site_statements.vpp = site_months.vpp
        and site_statements.nmi = site_months.nmi
where
    site_statements.fee_cents < 0
    or site_statements.fee_cents > site_months.fee_due_cents
    or (
        site_statements.fee_cents > 0
        and site_statements.fee_cents > site_statements.before_fees_cents
    )
