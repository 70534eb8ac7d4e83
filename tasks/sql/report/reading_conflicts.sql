-- Days of a VPP's settled channels that were sent twice under their latest version with
-- different values: one row per VPP, with the list of them, the one that counts first.
select
    meter_sites.vpp,
    list(
        {
            nmi: reading_conflicts.nmi,
            suffix: reading_conflicts.suffix,
            register: reading_conflicts.register,
            serial: reading_conflicts.serial,
            day: reading_conflicts.day,
            version: reading_conflicts.version,
            key: reading_conflicts.key,
            line: reading_conflicts.line,
            counts: reading_conflicts.place = 1
        }
        order by
            reading_conflicts.nmi,
            reading_conflicts.suffix,
            reading_conflicts.register,
            reading_conflicts.serial,
            reading_conflicts.day,
            reading_conflicts.place
    ) as reading_conflicts
from reading_conflicts
inner join meter_sites
    on
        reading_conflicts.nmi = meter_sites.nmi
        and reading_conflicts.day = meter_sites.day
semi join counted_readings
    on
        reading_conflicts.nmi = counted_readings.nmi
        and reading_conflicts.suffix = counted_readings.suffix
        and reading_conflicts.register = counted_readings.register
        and reading_conflicts.serial = counted_readings.serial
        and reading_conflicts.day = counted_readings.day
group by meter_sites.vpp
