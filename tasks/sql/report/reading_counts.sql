-- What became of the month's 300 rows that were imported: one row.
with counts as (
    select
        (select count(*) from reading_versions) as rows,
        (select count(*) from reading_winners) as winners,
        (select count(*) from counted_readings) as settled,
        (
            select count(*)
            from reading_winners
            anti join site_days
                on
                    reading_winners.nmi = site_days.nmi
                    and reading_winners.day = site_days.day
        ) as unassigned
)

select
    rows,
    rows - winners as superseded,
    settled,
    unassigned,
    winners - settled - unassigned as other
from counts
