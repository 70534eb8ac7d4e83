-- The terms of each VPP (of $vpps) in the month: one row per VPP, with the list of its
-- runs of days with the same terms, oldest first.
with marked as (
    select
        *,
        row(revenue_percentage, daily_fee_aud, charge_events, negative_balances)
            as terms,
        lag(row(revenue_percentage, daily_fee_aud, charge_events, negative_balances))
            over (partition by vpp order by day) as terms_before
    from vpp_days
    where vpp in (select unnest($vpps::varchar[]))
),

numbered as (
    select
        *,
        count(*) filter (terms_before is null or terms != terms_before)
            over (partition by vpp order by day) as run
    from marked
),

runs as (
    select
        vpp,
        min(day) as first_day,
        max(day) as last_day,
        any_value(revenue_percentage) as revenue_percentage,
        any_value(daily_fee_aud) as daily_fee_aud,
        any_value(charge_events) as charge_events,
        any_value(negative_balances) as negative_balances
    from numbered
    group by vpp, run
)

select
    vpp,
    list(
        {
            first_day: first_day,
            last_day: last_day,
            revenue_percentage: revenue_percentage,
            daily_fee_aud: daily_fee_aud,
            charge_events: charge_events,
            negative_balances: negative_balances
        }
        order by first_day
    ) as terms
from runs
group by vpp
