-- The terms of each VPP on each day of the month on which it exists: one row per VPP
-- and day. What if they were others: what_if has at most one row per VPP.
-- revenue_share is the VPP's part of 1, own_share what a site keeps of the rest of its
-- events' worth (80% by the rule); daily_fee_aud what a member day would cost if a
-- month had 28 days.
with days as (
    select
        id as vpp,
        attribute,
        value,
        unnest(generate_series(first_day, last_day, interval 1 day))::date as day
    from spans
    where kind = 'vpp'
),

terms as (
    select
        vpp,
        day,
        max(value) filter (attribute = 'name') as name,
        max(value) filter (attribute = 'revenue_percentage') as revenue_percentage,
        max(value) filter (attribute = 'daily_fee_aud') as daily_fee_aud,
        max(value) filter (attribute = 'charge_events') as charge_events,
        max(value) filter (attribute = 'negative_balances') as negative_balances
    from days
    group by vpp, day
    having max(value) filter (attribute = 'revenue_percentage') is not null
),

chosen as (
    select
        terms.vpp,
        terms.day,
        terms.name,
        coalesce(what_if.revenue_percentage, terms.revenue_percentage)::decimal(7, 4)
            as revenue_percentage,
        coalesce(what_if.daily_fee_aud, terms.daily_fee_aud)::decimal(10, 4)
            as daily_fee_aud,
        coalesce(what_if.charge_events, terms.charge_events) as charge_events,
        coalesce(what_if.negative_balances, terms.negative_balances)
            as negative_balances,
        coalesce(what_if.own_percentage, '80')::decimal(3, 0) as own_percentage
    from terms
    left join what_if
        on terms.vpp = what_if.vpp
)

select
    vpp,
    day,
    name,
    revenue_percentage,
    (revenue_percentage * 0.01)::decimal(7, 6) as revenue_share,
    (own_percentage * 0.01)::decimal(3, 2) as own_share,
    daily_fee_aud,
    charge_events,
    negative_balances
from chosen
