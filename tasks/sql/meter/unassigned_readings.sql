-- Winning readings that no VPP gets, since their site is in none on that day: one row
-- per site and day. Of the channels of energy alone; intervals with a value, and kWh.
with unassigned as (
    select
        reading_winners.filename,
        reading_winners.file_row_number,
        reading_winners.nmi,
        reading_winners.day
    from reading_winners
    anti join memberships
        on
            reading_winners.nmi = memberships.nmi
            and reading_winners.day
            between memberships.first_day and memberships.last_day
    where reading_winners.suffix[1] in ('E', 'B')
)

select
    unassigned.nmi,
    unassigned.day,
    sum(len(list_filter(readings.micro_kwh, lambda v: v is not null)))::bigint
        as intervals,
    (
        coalesce(sum(list_sum(readings.micro_kwh)::hugeint), 0)::decimal(32, 0)
        * 0.000001::decimal(6, 6)
    )::decimal(38, 6) as energy_kwh
from read_parquet($readings, filename = true, file_row_number = true) as readings
inner join unassigned
    on
        readings.filename = unassigned.filename
        and readings.file_row_number = unassigned.file_row_number
group by unassigned.nmi, unassigned.day
order by unassigned.nmi, unassigned.day
