-- name: window_of_deliveries
SELECT max(id), count(*), min(created_at) FROM (
    SELECT id, created_at FROM deliveries WHERE id > :after ORDER BY id LIMIT :window
);

-- name: prune_deliveries
DELETE FROM deliveries
WHERE id > :after AND id <= :end AND (
    (state IN ('done', 'superseded', 'merged', 'moved', 'dropped') AND settled_at < :done_before)
    OR (state = 'dead' AND settled_at < :dead_before)
) AND message NOT IN (SELECT message FROM messages_to_list)
  AND id NOT IN (SELECT note FROM diversions WHERE ended_at IS NULL)
RETURNING message;

-- name: prune_messages
DELETE FROM messages
WHERE id IN (SELECT value FROM json_each(?))
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message = messages.id)
  AND NOT EXISTS (SELECT 1 FROM diversions AS v WHERE v.id = messages.diverted AND v.ended_at IS NULL)
  AND NOT EXISTS (
    SELECT 1 FROM incidents WHERE message = messages.id AND (ended_at IS NULL OR live = 1 OR wake_at IS NOT NULL)
  );

-- name: window_of_events
SELECT max(seq), count(*), min(received_at) FROM (
    SELECT seq, received_at FROM events WHERE seq > :after ORDER BY seq LIMIT :window
);

-- name: prune_events
DELETE FROM events
WHERE seq > :after AND seq <= :end
  AND seq <= (SELECT value FROM meta WHERE name = 'planned_up_to')
  AND received_at < iif(set_aside IS NULL, :done_before, :dead_before)
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq)
  AND NOT EXISTS (SELECT 1 FROM incidents WHERE seq = events.seq)
  AND seq NOT IN (
    SELECT n.value FROM incidents, json_each(incident, '$.news') AS n WHERE live = 1 AND grp IS NOT NULL
  )
  AND seq NOT IN (SELECT state ->> 'seq' FROM groups WHERE kind = 'storm')
  AND (seq != first_seq
       OR NOT EXISTS (SELECT 1 FROM events AS other WHERE other.seq BETWEEN events.seq + 1 AND events.last_seq));

-- name: prune_keys
DELETE FROM request_keys WHERE received_at < :dedupe_before;

-- name: prune_refusals
DELETE FROM refusals
WHERE received_at < :done_before OR id <= (SELECT max(id) FROM refusals) - :most;

-- name: prune_alerts
DELETE FROM alerts WHERE state != 'firing' AND updated_at < :done_before;

-- name: prune_incidents
DELETE FROM incidents
WHERE ended_at < :done_before AND live = 0 AND wake_at IS NULL
  AND message NOT IN (SELECT message FROM messages_to_list)
  AND message NOT IN (
    SELECT message FROM deliveries WHERE state = 'waiting'
    UNION SELECT message FROM deliveries WHERE state = 'leased'
    UNION SELECT message FROM deliveries WHERE state = 'dead'
  );

-- name: prune_groups
DELETE FROM groups
WHERE wake_at IS NULL AND coalesce(ended_at, state ->> 'flushed_at', 0) < :done_before
  AND NOT EXISTS (SELECT 1 FROM incidents WHERE grp = groups.id AND (live = 1 OR wake_at IS NOT NULL))
  AND NOT EXISTS (
    SELECT 1 FROM deliveries AS d
    WHERE d.message = groups.state ->> 'message' AND (d.settled_at IS NULL OR d.state = 'dead')
  );

-- name: prune_silences
DELETE FROM silences WHERE ends_at < :done_before;

-- name: prune_diversions
DELETE FROM diversions WHERE ended_at < :dead_before;

-- name: anything_done
SELECT EXISTS (SELECT 1 FROM deliveries WHERE state IN ('done', 'superseded', 'merged', 'moved', 'dropped'));

-- name: used_bytes
SELECT (pages.page_count - free.freelist_count) * size.page_size
FROM pragma_page_count() AS pages, pragma_freelist_count() AS free, pragma_page_size() AS size;
