-- VPPs whose month is worth more than can be computed with: one row per VPP whose sites
-- have 10^18 sixths of a cent or more, signs aside, with the site that has most.
-- That is 1,600 trillion AUD: an energy or a tariff is in the wrong unit. Below it,
-- all products of the rule have at most 18 digits before the point and 20 behind it.
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
having sum(sixth_cents) >= 1000000000000000000
order by vpp
