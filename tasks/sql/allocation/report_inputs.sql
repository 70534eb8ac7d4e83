-- The files that a VPP's report rests on: one row per VPP and inbox object with events
-- of its sites.
select
    site_days.vpp,
    month_events.key,
    inputs.etag,
    sum(month_events.events)::bigint as rows,
    any_value(inputs.rejected_rows) as rejected_rows
from month_events
inner join site_days
    on month_events.nmi = site_days.nmi and month_events.day = site_days.day
inner join inputs
    on month_events.key = inputs.key
group by site_days.vpp, month_events.key, inputs.etag
order by site_days.vpp, month_events.key
