-- Ids of events (EVENT_ID) that have two contents: one row per id, the first $most by
-- name, each with the first $most of the places that it stands in.
select
    event_id,
    min({ 'key': key, 'line': line }, $most) as places
from identified
group by event_id
having not bool_and(is_same)
order by event_id
limit $most
