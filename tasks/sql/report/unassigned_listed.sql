-- Which unassigned sites are listed, in NMI order: all that the registry has, and of
-- the others the $most with most energy. One row per site, as report/unassigned has
-- them.
select
    nmi,
    is_known,
    first_day,
    last_day,
    events,
    energy_kwh
from unassigned
qualify
    is_known
    or row_number()
        over (partition by is_known order by energy_kwh desc, nmi asc)
    <= $most
order by nmi
