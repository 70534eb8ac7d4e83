-- Days that were sent more than once in their latest version: one row per row of a
-- file.
-- Whether their values differ is for reading_conflicts to see.
with latest as (
    select
        filename,
        file_row_number,
        key,
        line,
        nmi,
        suffix,
        register,
        serial,
        day,
        version,
        quality,
        actual,
        missing
    from reading_versions
    qualify
        version = max(version) over (
            partition by nmi, suffix, register, serial, day
        )
)

select
    filename,
    file_row_number,
    key,
    line,
    nmi,
    suffix,
    register,
    serial,
    day,
    version,
    quality,
    actual,
    missing
from latest
qualify count(*) over (partition by nmi, suffix, register, serial, day) > 1
