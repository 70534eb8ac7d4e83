-- Every event of the month is settled for exactly one VPP, or its site has no VPP on
-- its day.
with counted as (
    select
        (select coalesce(sum(events), 0) from month_events) as imported,
        (select coalesce(sum(events), 0) from site_months) as settled,
        (
            select coalesce(sum(month_events.events), 0)
            from month_events
            anti join site_days
                on month_events.nmi = site_days.nmi and month_events.day = site_days.day
        ) as unassigned
)

select
    imported,
    settled,
    unassigned
from counted
where imported != settled + unassigned
