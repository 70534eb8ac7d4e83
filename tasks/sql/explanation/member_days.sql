-- All that the rule uses for one site on a day, besides its events: one row per member
-- day of the site in the VPP, in order.
-- Money in sixths of a cent (daily_fee_aud: AUD), capacity in kWh. own_share_of_worth
-- is the site's part of the worth of its events; what begins with vpp_ and the pool are
-- of all the VPP's sites together; shared and cost only of this site alone.
select
    site_days.day,
    vpp_days.revenue_percentage,
    vpp_days.revenue_share,
    vpp_days.daily_fee_aud,
    vpp_days.charge_events,
    site_days.capacity_kwh as site_capacity_kwh,
    pools.capacity_kwh as vpp_capacity_kwh,
    pools.total_sixth_cents as vpp_sixth_cents,
    pools.pool_sixth_cents,
    pools.own_share_of_worth,
    coalesce(revenue.shared_sixth_cents, 0) as shared_sixth_cents,
    coalesce(revenue.cost_only_sixth_cents, 0) as cost_only_sixth_cents
from site_days
inner join vpp_days
    on site_days.vpp = vpp_days.vpp and site_days.day = vpp_days.day
inner join pools
    on site_days.vpp = pools.vpp and site_days.day = pools.day
left join site_days_revenue as revenue
    on
        site_days.vpp = revenue.vpp
        and site_days.nmi = revenue.nmi
        and site_days.day = revenue.day
where site_days.vpp = $vpp and site_days.nmi = $nmi
order by site_days.day
