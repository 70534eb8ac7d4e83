-- The last change of the registry that bears on each VPP's report: on its own name and
-- terms, on its member sites, or on the batteries installed there, in the month. One
-- row per VPP.
-- A change elsewhere, or one that takes effect later, makes no new revision of this
-- report.
with bearing as (
    select
        id as vpp,
        seq
    from spans
    where kind = 'vpp'
    union all
    select
        site_months.vpp,
        spans.seq
    from spans
    inner join site_months
        on spans.id = site_months.nmi
    where spans.kind = 'site'
    union all
    select
        site_months.vpp,
        battery.seq
    from spans as place
    inner join site_months
        on place.value = site_months.nmi
    inner join spans as battery
        on place.id = battery.id
    where
        place.kind = 'battery' and place.attribute = 'nmi' and battery.kind = 'battery'
)

select
    vpp,
    max(seq) as registry_seq
from bearing
group by vpp
