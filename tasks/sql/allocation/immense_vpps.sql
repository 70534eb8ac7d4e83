-- VPPs whose month is worth more than a report can say to the cent: one row per VPP
-- whose sites have 70 trillion AUD or more, signs aside, with the site that has most:
-- an energy or a tariff is in the wrong unit. Below 2^46 AUD the number in a report's
-- JSON is that of its cents (core/report.py), and all products of the rule have at most
-- 18 digits before the point and 20 behind it.
with sites as (
    select
        vpp,
        nmi,
        sum(abs(shared_sixth_cents) + abs(cost_only_sixth_cents)) as sixth_cents
    from site_days_revenue
    group by vpp, nmi
)

select
    vpp,
    max_by(nmi, sixth_cents) as nmi,
    trunc(max(sixth_cents))::hugeint // 600 as aud
from sites
group by vpp
having sum(sixth_cents) >= 42000000000000000 -- 70 x 10^12 x 600
order by vpp
