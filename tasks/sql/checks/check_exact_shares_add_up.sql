-- Before anything is rounded: for every VPP the percentage, the sites' own shares and
-- the pools are exactly the revenue of its events.
with revenue as (
    select
        vpp,
        sum(shared_cents) as cents
    from site_days_revenue
    group by vpp
),

days as (
    select
        vpp,
        sum(ad_valorem_cents) as ad_valorem_cents,
        sum(pool_cents) as pool_cents
    from pools
    group by vpp
),

sites as (
    select
        vpp,
        sum(own_cents) as own_cents
    from site_months
    group by vpp
)

select
    days.vpp,
    coalesce(revenue.cents, 0)
    - days.ad_valorem_cents
    - days.pool_cents
    - coalesce(sites.own_cents, 0) as cents_lost
from days
left join revenue
    on days.vpp = revenue.vpp
left join sites
    on days.vpp = sites.vpp
where
    coalesce(revenue.cents, 0)
    != days.ad_valorem_cents + days.pool_cents + coalesce(sites.own_cents, 0)
