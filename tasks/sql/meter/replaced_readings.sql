-- What readings were replaced by from one settlement to another: one row per pair of
-- versions and qualities, with the sites and days of it. The schemas `before` and
-- `after` have the winners of each.
-- Days that only one of the two has came or went with a file.
with changed as (
    select
        old.nmi,
        old.day,
        old.version as old_version,
        new.version as new_version,
        list_aggregate(
            list_sort(
                list_distinct(regexp_extract_all(old.quality, '[AESFN][0-9]*'))
            ),
            'string_agg',
            '/'
        ) as old_quality,
        list_aggregate(
            list_sort(
                list_distinct(regexp_extract_all(new.quality, '[AESFN][0-9]*'))
            ),
            'string_agg',
            '/'
        ) as new_quality
    from before.reading_winners as old
    inner join after.reading_winners as new
        on
            old.nmi = new.nmi
            and old.suffix = new.suffix
            and old.register = new.register
            and old.serial = new.serial
            and old.day = new.day
    where
        old.nmi in (select unnest($nmis::varchar[]))
        and (old.version != new.version or old.quality != new.quality)
)

select
    old_version,
    new_version,
    old_quality,
    new_quality,
    list(distinct nmi order by nmi) as nmis,
    list(distinct day order by day) as days
from changed
group by old_version, new_version, old_quality, new_quality
order by old_version, new_version, old_quality, new_quality
