-- Member sites without any event in the month: one row per VPP and site. A site that
-- moved in the month and had events in its other VPP is none of them.
-- has_battery: on its last member day.
with active as (
    select nmi
    from month_events
    group by nmi
    having sum(events) > 0
)

select
    site_months.vpp,
    site_months.nmi,
    site_months.site_capacity_kwh > 0 as has_battery
from site_months
anti join active
    on site_months.nmi = active.nmi
