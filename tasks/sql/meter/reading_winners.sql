-- The version that counts: one row per NMI, suffix, register, meter serial and day. The
-- latest replaces the whole day; days are never put together from two.
-- reading is its number here. The same values sent twice count once, under the better
-- quality, then the first file and line by name; different ones as reading_conflicts
-- has them.
with winners as (
    select
        reading_versions.filename,
        reading_versions.file_row_number,
        reading_versions.key,
        reading_versions.line,
        reading_versions.nmi,
        reading_versions.suffix,
        reading_versions.register,
        reading_versions.serial,
        reading_versions.day,
        reading_versions.interval_minutes,
        reading_versions.version,
        reading_versions.quality,
        reading_versions.actual,
        reading_versions.missing
    from reading_versions
    left join reading_conflicts
        on
            reading_versions.filename = reading_conflicts.filename
            and reading_versions.file_row_number = reading_conflicts.file_row_number
    qualify
        row_number() over (
            partition by
                reading_versions.nmi,
                reading_versions.suffix,
                reading_versions.register,
                reading_versions.serial,
                reading_versions.day
            order by
                reading_versions.version desc,
                reading_conflicts.place asc nulls last,
                reading_versions.missing asc,
                reading_versions.actual desc,
                reading_versions.quality asc,
                reading_versions.key asc,
                reading_versions.line asc
        ) = 1
)

select
    (row_number() over ())::integer as reading,
    filename,
    file_row_number,
    key,
    line,
    nmi,
    suffix,
    register,
    serial,
    day,
    interval_minutes,
    version,
    quality,
    missing
from winners
