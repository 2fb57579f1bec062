-- name: prune_deliveries
DELETE FROM deliveries WHERE id IN (
    SELECT id FROM deliveries
    WHERE (state IN ('done', 'superseded', 'merged', 'moved', 'dropped') AND settled_at < :done_before)
       OR (state = 'dead' AND settled_at < :dead_before)
    ORDER BY id LIMIT :slice
) RETURNING message;

-- name: prune_messages
DELETE FROM messages
WHERE id IN (SELECT value FROM json_each(?)) AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message = messages.id);

-- name: prune_events
DELETE FROM events WHERE seq IN (
    SELECT seq FROM events
    WHERE seq <= (SELECT value FROM meta WHERE name = 'planned_up_to')
      AND received_at < iif(set_aside IS NULL, :done_before, :dead_before)
      AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq)
    ORDER BY seq LIMIT :slice
);

-- name: prune_requests
DELETE FROM requests WHERE id IN (
    SELECT id FROM requests
    WHERE received_at < iif(dedupe_key IS NULL, :done_before, :dedupe_before)
      AND NOT EXISTS (SELECT 1 FROM events WHERE seq BETWEEN first_seq AND last_seq)
    ORDER BY id LIMIT :slice
);

-- name: prune_refusals
DELETE FROM refusals
WHERE received_at < :done_before OR id <= (SELECT max(id) FROM refusals) - :most;

-- name: prune_alerts
DELETE FROM alerts WHERE state = 'resolved' AND updated_at < :done_before;

-- name: prune_incidents
DELETE FROM incidents WHERE ended_at < :done_before;
