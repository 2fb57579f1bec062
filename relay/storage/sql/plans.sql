-- name: waiting_events
SELECT json_group_array(json_object('seq', seq, 'event', json(event)))
FROM (
    SELECT seq, event FROM events
    WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND set_aside IS NULL
    ORDER BY seq LIMIT ?
);

-- name: known_alerts
SELECT json_group_array(json_object(
    'source', a.source, 'key', a.key, 'state', state, 'severity', severity, 'title', title, 'labels', json(labels),
    'started_at', started_at, 'updated_at', updated_at
))
FROM json_each(?) AS wanted
JOIN alerts AS a ON a.source = wanted.value ->> 0 AND a.key = wanted.value ->> 1;

-- name: firing_keys
SELECT json_group_array(key) FROM alerts WHERE source = ? AND state = 'firing';

-- name: known_incidents
SELECT json_group_array(json_object(
    'source', i.source, 'key', i.key, 'room', room, 'group', grp, 'opened_at', opened_at
))
FROM json_each(?) AS wanted
JOIN incidents AS i ON i.source = wanted.value ->> 0 AND i.key = wanted.value ->> 1 AND i.ended_at IS NULL;

-- name: advance
UPDATE meta SET value = ? WHERE name = 'planned_up_to' AND value < ?;

-- name: insert_messages
INSERT INTO messages (id, room, grp, route, template) VALUES :rows(5);

-- name: insert_deliveries
INSERT INTO deliveries (id, message, event_seq, room, action, state, rank, position, created_at, due_at)
SELECT column1, column2, column3, column4, 'post', 'waiting', column5, column1, column6, column6
FROM (VALUES :rows(6));

-- name: upsert_alerts
INSERT INTO alerts (source, key, state, severity, title, labels, started_at, updated_at) VALUES :rows(8)
ON CONFLICT (source, key) DO UPDATE SET
    state = excluded.state, severity = excluded.severity, title = excluded.title, labels = excluded.labels,
    started_at = excluded.started_at, updated_at = excluded.updated_at;

-- name: close_incident
UPDATE incidents SET ended_at = ? WHERE source = ? AND key = ? AND room = ? AND ended_at IS NULL;

-- name: insert_incidents
INSERT INTO incidents (source, key, room, grp, message, opened_at, ended_at) VALUES :rows(7);

-- name: adopt_event
UPDATE events SET event = ? WHERE seq = ?;

-- name: set_event_aside
UPDATE events SET set_aside = ? WHERE seq = ?;

-- name: count_waiting_events
SELECT count(*) FROM events
WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND set_aside IS NULL;
