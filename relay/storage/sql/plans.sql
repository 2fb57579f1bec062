-- name: waiting_events
SELECT json_group_array(json_object('seq', seq, 'event', json(event)))
FROM (
    SELECT seq, event FROM events
    WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND set_aside IS NULL
    ORDER BY seq LIMIT ?
);

-- name: known_alerts
SELECT json_group_array(json(alert))
FROM json_each(?) AS wanted
JOIN alerts AS a ON a.source = wanted.value ->> 0 AND a.key = wanted.value ->> 1;

-- name: firing_keys
SELECT json_group_array(key) FROM (
    SELECT key FROM alerts WHERE source = :source AND state = 'firing'
    UNION
    SELECT alert FROM events
    WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND source = :source AND alert IS NOT NULL
);

-- name: known_incidents
SELECT json_group_array(json(incident))
FROM incidents
WHERE id IN (
    SELECT max(i.id)
    FROM json_each(?) AS wanted
    JOIN incidents AS i ON i.source = wanted.value ->> 0 AND i.key = wanted.value ->> 1
    GROUP BY i.source, i.key, i.room
);

-- name: due_keys
SELECT json_group_array(json_array(source, key))
FROM (SELECT DISTINCT source, key FROM incidents WHERE wake_at <= ? ORDER BY wake_at LIMIT ?);

-- name: next_wake
SELECT min(wake_at) FROM incidents WHERE wake_at IS NOT NULL;

-- name: advance
UPDATE meta SET value = ? WHERE name = 'planned_up_to' AND value < ?;

-- name: insert_messages
INSERT INTO messages (id, room, grp, route, template) VALUES :rows(5);

-- name: insert_deliveries
INSERT INTO deliveries (id, message, event_seq, room, action, state, rank, position, created_at, due_at)
SELECT column1, column2, column3, column4, 'post', 'waiting', column5, column1, column6, column6
FROM (VALUES :rows(6));

-- name: insert_changes
INSERT INTO deliveries (id, message, event_seq, room, action, state, rank, position, content, created_at, due_at)
SELECT column1, column2, column3, column4, column5, 'waiting', column6, column1, column7, column8, column8
FROM (VALUES :rows(8));

-- name: supersede_edits
UPDATE deliveries SET state = 'superseded', successor = :id, settled_at = :now, aside = 0
WHERE message = :message AND action = 'edit' AND state = 'waiting' AND id < :id
RETURNING room, rank;

-- name: supersede_by_post
UPDATE deliveries SET state = 'superseded', settled_at = :now, successor = (
    SELECT id FROM deliveries WHERE message = :message AND action = 'post' AND state = 'waiting' AND id < :id
)
WHERE id = :id
  AND EXISTS (SELECT 1 FROM deliveries WHERE message = :message AND action = 'post' AND state = 'waiting' AND id < :id)
RETURNING room, rank;

-- name: upsert_alerts
INSERT INTO alerts (source, key, alert, updated_at, state) VALUES :rows(5)
ON CONFLICT (source, key) DO UPDATE SET
    alert = excluded.alert, updated_at = excluded.updated_at, state = excluded.state;

-- name: upsert_incidents
INSERT INTO incidents (id, source, key, room, message, seq, incident, ended_at, wake_at) VALUES :rows(9)
ON CONFLICT (id) DO UPDATE SET
    message = excluded.message, seq = excluded.seq, incident = excluded.incident, ended_at = excluded.ended_at,
    wake_at = excluded.wake_at;

-- name: suppress_event
UPDATE events SET suppressed = ? WHERE seq = ?;

-- name: adopt_event
UPDATE events SET event = ? WHERE seq = ?;

-- name: set_event_aside
UPDATE events SET set_aside = ? WHERE seq = ?;

-- name: count_waiting_events
SELECT count(*) FROM events
WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND set_aside IS NULL;
