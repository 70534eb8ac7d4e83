-- Before anything is rounded: for every VPP the percentage, the sites' own shares and
-- the pools are exactly the revenue of its events.
with revenue as (
    select
        vpp,
        sum(shared_sixth_cents) as sixth_cents
    from site_days_revenue
    group by vpp
),

days as (
    select
        vpp,
        sum(ad_valorem_sixth_cents) as ad_valorem_sixth_cents,
        sum(pool_sixth_cents) as pool_sixth_cents
    from pools
    group by vpp
),

sites as (
    select
        vpp,
        sum(own_sixth_cents) as own_sixth_cents
    from site_months
    group by vpp
)

select
    days.vpp,
    coalesce(revenue.sixth_cents, 0)
    - days.ad_valorem_sixth_cents
    - days.pool_sixth_cents
    - coalesce(sites.own_sixth_cents, 0) as sixth_cents_lost
from days
left join revenue
    on days.vpp = revenue.vpp
left join sites
    on days.vpp = sites.vpp
where
    coalesce(revenue.sixth_cents, 0)
    != days.ad_valorem_sixth_cents
    + days.pool_sixth_cents
    + coalesce(sites.own_sixth_cents, 0)
