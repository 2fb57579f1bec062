-- name: window_of_deliveries
SELECT max(id), count(*), min(created_at) FROM (
    SELECT id, created_at FROM deliveries WHERE id > %(after)s ORDER BY id LIMIT %(window)s
) AS window_;

-- name: prune_deliveries
DELETE FROM deliveries
WHERE id > %(after)s AND id <= %(end)s AND (
    (state IN ('done', 'superseded', 'merged', 'moved', 'dropped') AND settled_at < %(done_before)s)
    OR (state = 'dead' AND settled_at < %(dead_before)s)
) AND NOT EXISTS (SELECT 1 FROM messages_to_list AS l WHERE l.message = deliveries.message)
  AND NOT EXISTS (SELECT 1 FROM diversions AS v WHERE v.note = deliveries.id AND v.ended_at IS NULL)
RETURNING message;

-- name: prune_messages
DELETE FROM messages
WHERE id IN (SELECT value::int8 FROM json_array_elements_text(%s::json))
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message = messages.id)
  AND NOT EXISTS (SELECT 1 FROM diversions AS v WHERE v.id = messages.diverted AND v.ended_at IS NULL)
  AND NOT EXISTS (
    SELECT 1 FROM incidents WHERE message = messages.id AND (ended_at IS NULL OR live = 1 OR wake_at IS NOT NULL)
  );

-- name: window_of_events
SELECT max(seq), count(*), min(received_at) FROM (
    SELECT seq, received_at FROM events WHERE seq > %(after)s ORDER BY seq LIMIT %(window)s
) AS window_;

-- name: prune_events
DELETE FROM events
WHERE seq > %(after)s AND seq <= %(end)s
  AND seq <= (SELECT value FROM meta WHERE name = 'planned_up_to')
  AND received_at < CASE WHEN set_aside IS NULL THEN %(done_before)s::float8 ELSE %(dead_before)s::float8 END
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq)
  AND NOT EXISTS (SELECT 1 FROM incidents WHERE seq = events.seq)
  AND seq NOT IN (
    SELECT n.value::int8 FROM incidents, json_array_elements_text(incident -> 'news') AS n
    WHERE live = 1 AND grp IS NOT NULL AND json_typeof(incident -> 'news') = 'array'
  )
  AND NOT EXISTS (SELECT 1 FROM groups WHERE kind = 'storm' AND (state ->> 'seq')::int8 = events.seq)
  AND (seq != first_seq
       OR NOT EXISTS (SELECT 1 FROM events AS other WHERE other.seq BETWEEN events.seq + 1 AND events.last_seq));

-- name: prune_keys
DELETE FROM request_keys WHERE received_at < %(dedupe_before)s;

-- name: prune_refusals
DELETE FROM refusals
WHERE received_at < %(done_before)s OR id <= (SELECT max(id) FROM refusals) - %(most)s;

-- name: prune_alerts
DELETE FROM alerts WHERE state != 'firing' AND updated_at < %(done_before)s;

-- name: prune_incidents
DELETE FROM incidents
WHERE ended_at < %(done_before)s AND live = 0 AND wake_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM messages_to_list AS l WHERE l.message = incidents.message)
  AND NOT EXISTS (
    SELECT 1 FROM deliveries AS d WHERE d.message = incidents.message AND d.state IN ('waiting', 'leased', 'dead')
  );

-- name: prune_groups
DELETE FROM groups
WHERE wake_at IS NULL AND coalesce(ended_at, (state ->> 'flushed_at')::float8, 0) < %(done_before)s
  AND NOT EXISTS (SELECT 1 FROM incidents WHERE grp = groups.id AND (live = 1 OR wake_at IS NOT NULL))
  AND NOT EXISTS (
    SELECT 1 FROM deliveries AS d
    WHERE d.message = (groups.state ->> 'message')::int8 AND (d.settled_at IS NULL OR d.state = 'dead')
  );

-- name: prune_silences
DELETE FROM silences WHERE ends_at < %(done_before)s;

-- name: prune_diversions
DELETE FROM diversions WHERE ended_at < %(dead_before)s;

-- name: anything_done
SELECT EXISTS (SELECT 1 FROM deliveries WHERE state IN ('done', 'superseded', 'merged', 'moved', 'dropped'));

-- name: used_bytes
SELECT pg_database_size(current_database());
