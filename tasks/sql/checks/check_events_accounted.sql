-- Every event of the month is settled for exactly one VPP, or its site has no VPP on
-- its day, or one that is not settled here (in $vpps). All but those of
-- `elsewhere_sites`, which are of these.
with counted as (
    select
        (select coalesce(sum(events), 0) from month_events) as imported,
        (select coalesce(sum(events), 0) from site_months) as settled,
        (
            select coalesce(sum(events), 0) from valued_days
            where vpp is null)
            as unassigned,
        (
            select coalesce(sum(events), 0) from valued_days
            where vpp is not null and vpp not in (select unnest($vpps::varchar[])))
            as elsewhere
)

select
    imported,
    settled,
    unassigned,
    elsewhere
from counted
where imported != settled + unassigned + elsewhere
