-- Events of the month's files that say which event they are (EVENT_ID), where an id
-- stands on several rows: one row per such event, by id, file and line. is_first: the
-- one that counts; is_same: it says what the first one says.
with identified as (
    select
        events.event_id,
        inputs.key,
        events.line,
        events.nmi,
        events.day,
        events.is_discharge,
        events.energy_kwh,
        events.tariff_cents_per_kwh,
        row(
            events.nmi,
            events.day,
            events.second,
            events.is_discharge,
            events.energy_kwh,
            events.tariff_cents_per_kwh
        ) as content
    from read_parquet($events, filename = true) as events
    inner join inputs
        on
            parse_filename(events.filename, true) = inputs.import_id
            and events.source = inputs.source
    where events.rejected_id is null and events.event_id is not null
),

numbered as (
    select
        *,
        row_number() over (partition by event_id order by key, line) as number,
        count(*) over (partition by event_id) as rows,
        first_value(content) over (partition by event_id order by key, line)
            as first_content
    from identified
)

select
    event_id,
    key,
    line,
    nmi,
    day,
    is_discharge,
    energy_kwh,
    tariff_cents_per_kwh,
    number = 1 as is_first,
    (content is not distinct from first_content) as is_same
from numbered
where rows > 1
order by event_id, key, line
