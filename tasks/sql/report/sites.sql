-- The sites of the reports on some VPPs ($vpps): one row per VPP and site, in order.
-- Money in AUD, energy and capacity in kWh. What a meter adds is null in a report
-- whose sites are all settled from events.
-- The names are those of the report's fields (core/report.py, SiteStatement).
with metered_vpps as (
    select distinct vpp
    from report_site_meters
)

select
    site_months.vpp,
    site_months.nmi,
    site_months.address,
    site_months.site_capacity_kwh,
    site_statements.before_fees_cents * 0.01::decimal(2, 2) as site_revenue_before_fees,
    site_statements.fee_cents * 0.01::decimal(2, 2) as site_daily_fee,
    site_statements.after_fees_cents * 0.01::decimal(2, 2) as site_revenue_after_fees,
    site_months.member_days,
    site_months.events,
    site_months.energy_charged_kwh,
    site_months.energy_discharged_kwh,
    coalesce(
        meters.basis, case when metered_vpps.vpp is not null then 'events' end
    ) as basis,
    meters.intervals_expected,
    meters.intervals_missing,
    meters.energy_by_quality_kwh
from site_months
inner join site_statements
    on
        site_months.vpp = site_statements.vpp
        and site_months.nmi = site_statements.nmi
left join metered_vpps
    on site_months.vpp = metered_vpps.vpp
left join report_site_meters as meters
    on site_months.vpp = meters.vpp and site_months.nmi = meters.nmi
where site_months.vpp in (select unnest($vpps::varchar[]))
order by site_months.vpp, site_months.nmi
