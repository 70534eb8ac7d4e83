-- What became of the month's 300 rows that were imported: one row.
with counts as (
    select
        (select count(*) from reading_versions) as rows,
        (select count(*) from reading_winners) as winners,
        (select count(*) from counted_readings) as settled,
        (
            select count(*)
            from reading_winners
            anti join memberships
                on
                    reading_winners.nmi = memberships.nmi
                    and reading_winners.day
                    between memberships.first_day and memberships.last_day
        ) as unassigned
)

select
    rows,
    rows - winners as superseded,
    settled,
    unassigned,
    winners - settled - unassigned as other
from counts
