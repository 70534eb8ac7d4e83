-- Days that were sent twice in their latest version, with different values: one row
-- per such row of a file, the one that counts first (place 1).
-- Nothing says which is right, so the choice is one that does not depend on the order
-- of files: fewest readings missing, then most of them actual, then the greater value
-- in the first interval in which they differ.
-- Values are compared by their hash first; rows with the same values are no conflict.
with hashed as (
    select
        tied_readings.*,
        hash(readings.micro_kwh) as micro_kwh_hash
    from read_parquet($readings, filename = true, file_row_number = true) as readings
    inner join tied_readings
        on
            readings.filename = tied_readings.filename
            and readings.file_row_number = tied_readings.file_row_number
),

different as (
    select *
    from hashed
    qualify
        min(micro_kwh_hash) over (partition by nmi, suffix, register, serial, day)
        != max(micro_kwh_hash) over (partition by nmi, suffix, register, serial, day)
)

select
    different.filename,
    different.file_row_number,
    different.nmi,
    different.suffix,
    different.register,
    different.serial,
    different.day,
    different.version,
    different.key,
    different.line,
    row_number() over (
        partition by
            different.nmi,
            different.suffix,
            different.register,
            different.serial,
            different.day
        order by
            different.missing asc,
            different.actual desc,
            readings.micro_kwh desc,
            different.quality asc,
            different.key asc,
            different.line asc
    ) as place
from read_parquet($readings, filename = true, file_row_number = true) as readings
inner join different
    on
        readings.filename = different.filename
        and readings.file_row_number = different.file_row_number
order by
    different.nmi,
    different.suffix,
    different.register,
    different.serial,
    different.day,
    place
