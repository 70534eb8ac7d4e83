-- The winning readings of channels that count, with their region and direction: one row
-- per reading. meter_sites has a row per site and day: region, and which suffixes are
-- charge and which discharge; null for all E and all B.
with directions as (
    select
        reading_winners.*,
        meter_sites.region,
        case
            when meter_sites.charge_suffixes is null
                then reading_winners.suffix[1] = 'E'
            else list_contains(meter_sites.charge_suffixes, reading_winners.suffix)
        end as is_charge,
        case
            when meter_sites.discharge_suffixes is null
                then reading_winners.suffix[1] = 'B'
            else list_contains(meter_sites.discharge_suffixes, reading_winners.suffix)
        end as is_discharge
    from reading_winners
    inner join meter_sites
        on
            reading_winners.nmi = meter_sites.nmi
            and reading_winners.day = meter_sites.day
)

select
    reading,
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
    missing,
    region,
    is_discharge
from directions
where is_charge or is_discharge
