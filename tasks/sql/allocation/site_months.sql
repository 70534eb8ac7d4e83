-- What each site brings into the month's allotment: one row per VPP ($vpps) and site
-- that was its member.
-- own_sixth_cents: six times the own part of its revenue (step 5), exact, 20 decimals;
-- the pool's part is added in exact fractions when it is allotted (step 8).
-- fee_due_cents: step 6, `daily_fee x 28 / days in month` summed over the member days,
-- rounded to a cent, halves up; a fee is never negative, so that is away from zero. A
-- part is 0.01 cents over the days in the month. Whole-number division, since DuckDB's
-- / makes floating point of decimals.
with runs as (
    select distinct
        vpp,
        first_day,
        last_day
    from memberships
),

fees as (
    select
        runs.vpp,
        runs.first_day,
        runs.last_day,
        sum(vpp_days.daily_fee_aud) as daily_fees_aud
    from runs
    inner join vpp_days
        on
            runs.vpp = vpp_days.vpp
            and vpp_days.day between runs.first_day and runs.last_day
    group by runs.vpp, runs.first_day, runs.last_day
),

members as (
    select
        memberships.vpp,
        memberships.nmi,
        sum(memberships.last_day - memberships.first_day + 1)::bigint as member_days,
        max_by(memberships.capacity_kwh, memberships.first_day) as site_capacity_kwh,
        (sum(fees.daily_fees_aud) * 28 * 10000)::hugeint as fee_parts,
        (100 * $days_in_month)::hugeint as parts_per_cent
    from memberships
    inner join fees
        on
            memberships.vpp = fees.vpp
            and memberships.first_day = fees.first_day
            and memberships.last_day = fees.last_day
    where memberships.vpp in (select unnest($vpps::varchar[]))
    group by memberships.vpp, memberships.nmi
),

revenue as (
    select
        site_days_revenue.vpp,
        site_days_revenue.nmi,
        sum(site_days_revenue.events)::bigint as events,
        sum(site_days_revenue.energy_charged_kwh) as energy_charged_kwh,
        sum(site_days_revenue.energy_discharged_kwh) as energy_discharged_kwh,
        sum(
            site_days_revenue.shared_sixth_cents::decimal(31, 12)
            * pools.own_share_of_worth
        ) as own_sixth_cents
    from site_days_revenue
    inner join pools
        on site_days_revenue.vpp = pools.vpp and site_days_revenue.day = pools.day
    group by site_days_revenue.vpp, site_days_revenue.nmi
),

addresses as (
    select
        id as nmi,
        max_by(value, first_day) as address
    from spans
    where kind = 'site' and attribute = 'address'
    group by id
)

select
    members.vpp,
    members.nmi,
    addresses.address,
    members.site_capacity_kwh,
    members.member_days,
    coalesce(revenue.events, 0) as events,
    coalesce(revenue.energy_charged_kwh, 0) as energy_charged_kwh,
    coalesce(revenue.energy_discharged_kwh, 0) as energy_discharged_kwh,
    coalesce(revenue.own_sixth_cents, 0) as own_sixth_cents,
    (
        (2 * members.fee_parts + members.parts_per_cent) // (2 * members.parts_per_cent)
    )::bigint
        as fee_due_cents
from members
left join revenue
    on members.vpp = revenue.vpp and members.nmi = revenue.nmi
left join addresses
    on members.nmi = addresses.nmi
