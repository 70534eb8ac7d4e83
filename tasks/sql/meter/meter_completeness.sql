-- What should be there and what is: one row per site and day, for sites with a reading
-- that counts in the month, and for days whose basis is the meter by the registry.
-- A suffix that has a reading on any day is expected on each day of its site, with the
-- interval length that it had last (the shorter of two); where two meters share it (an
-- exchange), with the intervals of both. A suffix without any reading in the month is
-- expected by nobody; a site without any, but with its meter as basis, is expected to
-- have 288 intervals a day.
with channels as (
    select
        nmi,
        suffix,
        is_discharge,
        max_by(interval_minutes, row(day, -interval_minutes)) as interval_minutes
    from counted_readings
    group by nmi, suffix, is_discharge
),

present as (
    select
        nmi,
        day,
        suffix,
        sum(1440 // interval_minutes)::bigint as expected,
        sum(missing)::bigint as missing
    from counted_readings
    group by nmi, day, suffix
),

expected as (
    select
        channels.nmi,
        meter_sites.day,
        coalesce(present.expected, 1440 // channels.interval_minutes) as expected,
        coalesce(present.missing, 1440 // channels.interval_minutes) as missing
    from channels
    inner join meter_sites on channels.nmi = meter_sites.nmi
    left join present
        on
            channels.nmi = present.nmi
            and channels.suffix = present.suffix
            and meter_sites.day = present.day
    where
        case
            when channels.is_discharge and meter_sites.discharge_suffixes is not null
                then list_contains(meter_sites.discharge_suffixes, channels.suffix)
            when not channels.is_discharge and meter_sites.charge_suffixes is not null
                then list_contains(meter_sites.charge_suffixes, channels.suffix)
            else true
        end

    union all

    select
        meter_sites.nmi,
        meter_sites.day,
        288 as expected,
        288 as missing
    from meter_sites
    anti join channels on meter_sites.nmi = channels.nmi
    where meter_sites.is_meter_basis
)

select
    nmi,
    day,
    sum(expected)::bigint as expected,
    sum(missing)::bigint as missing
from expected
group by nmi, day
order by nmi, day
