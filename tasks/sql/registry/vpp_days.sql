-- The terms of each VPP on each day of the month on which it exists: one row per VPP
-- and day.
-- revenue_share is the VPP's part of 1; daily_fee_aud what a member day would cost if a
-- month had 28 days.
with days as (
    select
        id as vpp,
        attribute,
        value,
        unnest(generate_series(first_day, last_day, interval 1 day))::date as day
    from spans
    where kind = 'vpp'
)

select
    vpp,
    day,
    max(value) filter (attribute = 'name') as name,
    max(value) filter (attribute = 'revenue_percentage')::decimal(7, 4)
        as revenue_percentage,
    (max(value) filter (attribute = 'revenue_percentage')::decimal(7, 4) * 0.01)
    ::decimal(7, 6) as revenue_share,
    max(value) filter (attribute = 'daily_fee_aud')::decimal(10, 4) as daily_fee_aud,
    max(value) filter (attribute = 'charge_events') as charge_events,
    max(value) filter (attribute = 'negative_balances') as negative_balances
from days
group by vpp, day
having max(value) filter (attribute = 'revenue_percentage') is not null
