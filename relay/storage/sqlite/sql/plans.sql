-- name: waiting_events
SELECT json_group_array(json_object('seq', seq, 'event', json(event), 'at', :now))
FROM (
    SELECT seq, event FROM events
    WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND set_aside IS NULL
    ORDER BY seq LIMIT :limit
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
FROM (
    SELECT DISTINCT source, key FROM (
        SELECT source, key, wake_at FROM incidents WHERE wake_at <= :now
        UNION ALL
        SELECT source, key, wake_at FROM alerts WHERE wake_at <= :now
    ) ORDER BY wake_at LIMIT :limit
);

-- name: due_groups
SELECT json_group_array(json_object(
    'kind', g.kind, 'group', json(g.state),
    'edits', coalesce((SELECT edits FROM messages WHERE id = g.state ->> 'message'), 0),
    'shown', (
        SELECT count(*) FROM (
            SELECT DISTINCT source, key FROM incidents WHERE message = g.state ->> 'message' AND message != 0
        )
    ),
    'incidents', (
        SELECT json_group_array(json(incident)) FROM incidents
        WHERE grp = g.id AND live = 1 AND (g.kind != 'storm' OR changed = 1)
    ),
    'firing', (
        SELECT count(*) FROM incidents WHERE message = g.state ->> 'message' AND message != 0 AND over = 0
    )
))
FROM (SELECT id, kind, state FROM groups WHERE wake_at <= ? ORDER BY wake_at LIMIT ?) AS g;

-- name: open_keys
SELECT json_group_array(json_array(source, key)) FROM (
    SELECT source, key FROM incidents
    WHERE ended_at IS NULL AND (source, key) > (?, ?)
    GROUP BY source, key ORDER BY source, key LIMIT ?
);

-- name: next_wakes
SELECT
    (SELECT min(wake_at) FROM (
        SELECT min(wake_at) AS wake_at FROM incidents WHERE wake_at IS NOT NULL
        UNION ALL
        SELECT min(wake_at) FROM alerts WHERE wake_at IS NOT NULL
    )),
    (SELECT min(wake_at) FROM groups WHERE wake_at IS NOT NULL);

-- name: firing_alerts
SELECT json_group_array(json(alert)) FROM alerts WHERE state = 'firing';

-- name: open_alerts
SELECT json_group_array(json(alert)) FROM alerts
WHERE state = 'firing'
   OR (source, key) IN (SELECT source, key FROM incidents WHERE over = 0 AND ended_at IS NOT NULL);

-- name: keys_in_downtime
SELECT json_group_array(json_array(source, key)) FROM (
    SELECT DISTINCT source, key FROM incidents WHERE ended_at IS NULL AND incident -> '$.held' ->> 'reason' = 'downtime'
);

-- name: silences
SELECT json_group_array(json(silence)) FROM silences;

-- name: save_silence
INSERT INTO silences (id, silence, ends_at) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET silence = excluded.silence, ends_at = excluded.ends_at;

-- name: count_planned
SELECT count(*) FROM events
WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND seq <= ? AND set_aside IS NULL;

-- name: advance
UPDATE meta SET value = ? WHERE name = 'planned_up_to' AND value < ?;

-- name: insert_messages
INSERT INTO messages (id, room, kind, lineage, grp, labels, route, template, mention) VALUES :rows(9);

-- name: insert_deliveries
INSERT INTO deliveries (id, message, event_seq, room, action, state, rank, position, aside, created_at, due_at)
SELECT column1, column2, column3, column4, column5, 'waiting', column6, column7, column8, column9, column10
FROM (VALUES :rows(10));

-- name: insert_changes
INSERT INTO deliveries (id, message, event_seq, room, action, state, rank, position, content, says, created_at, due_at)
SELECT column1, column2, column3, column4, column5, 'waiting', column6, column7, column8, column9, column10, column10
FROM (VALUES :rows(10));

-- name: ensure_message
INSERT OR IGNORE INTO messages (id, room, kind, lineage, grp, labels, route) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: supersede_edits
UPDATE deliveries SET state = 'superseded', successor = :id, settled_at = :now, aside = 0
WHERE message = :message AND action = :action AND (action = 'edit' OR content IS NULL) AND state = 'waiting' AND id < :id
RETURNING room, rank, state;

-- name: supersede_replies
UPDATE deliveries SET state = 'superseded', successor = :id, settled_at = :now, aside = 0
WHERE message = :message AND action = 'reply' AND state = 'waiting' AND id < :id
  AND says -> 'kind' = :says -> 'kind' AND says -> 'alerts' = :says -> 'alerts'
RETURNING room, rank, state;

-- name: supersede_by_post
UPDATE deliveries SET state = 'superseded', settled_at = :now, successor = (
    SELECT id FROM deliveries WHERE message = :message AND action = 'post' AND state = 'waiting' AND id < :id
)
WHERE id = :id
  AND EXISTS (SELECT 1 FROM deliveries WHERE message = :message AND action = 'post' AND state = 'waiting' AND id < :id)
RETURNING room, rank, state;

-- name: move_incidents
UPDATE incidents SET message = :new, incident = json_set(incident, '$.message', :new, '$.at', '') WHERE message = :message;

-- name: move_tales
UPDATE messages SET tells = :new WHERE tells = :message;

-- name: replace_waiting
UPDATE deliveries SET state = 'superseded', successor = :post, settled_at = :now, aside = 0
WHERE message = :message AND state = 'waiting' AND part = 0 AND id < :id AND (
    action != 'reply'
    OR EXISTS (SELECT 1 FROM deliveries WHERE message = :message AND action = 'post' AND state = 'waiting')
)
RETURNING room, rank, state;

-- name: supersede_unposted
UPDATE deliveries SET state = 'superseded', successor = :post, settled_at = :now
WHERE id = :id
  AND NOT EXISTS (SELECT 1 FROM messages WHERE id = :message AND remote_id IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message = :message AND state = 'leased')
RETURNING room, rank, state;

-- name: hasten
UPDATE deliveries SET position = id + :ahead
WHERE id IN (
    SELECT id FROM deliveries
    WHERE state = 'waiting' AND room = :home AND action = 'post' AND part = 0 AND rank = 0 AND aside = 0 AND position > 0
    ORDER BY position LIMIT :alone
);

-- name: absorb
UPDATE deliveries SET state = 'merged', successor = :id, settled_at = :now, aside = 0
WHERE state = 'waiting' AND room = :home AND action = 'post' AND part = 0 AND attempts = 0 AND position > 0
RETURNING room, rank, state, message;

-- name: incidents_of
SELECT json_group_array(json(incident)) FROM incidents WHERE message IN (SELECT value FROM json_each(:messages));

-- name: absorb_groups
UPDATE groups SET state = json_set(state, '$.message', 0, '$.at', '')
WHERE state ->> 'message' IN (SELECT value FROM json_each(:messages));

-- name: absorb_messages
UPDATE deliveries SET message = :message WHERE message IN (SELECT value FROM json_each(:messages));

-- name: absorb_tales
UPDATE messages SET tells = :message WHERE tells IN (SELECT value FROM json_each(:messages));

-- name: forget_messages
DELETE FROM messages WHERE id IN (SELECT value FROM json_each(:messages));

-- name: storms
SELECT json_group_array(json(state)) FROM groups WHERE wake_at IS NOT NULL AND ended_at IS NULL AND kind = 'storm';

-- name: waiting_posts
SELECT count(*), coalesce(max(event_seq), 0) FROM (
    SELECT action, part, event_seq FROM deliveries WHERE state = 'waiting' AND room = ? ORDER BY position, part LIMIT ?
) WHERE action = 'post' AND part = 0;

-- name: insert_merged
INSERT INTO deliveries (
    id, message, event_seq, room, action, state, rank, position, created_at, due_at, settled_at, successor
)
SELECT v.column1, d.message, v.column2, d.room, d.action, 'merged', d.rank, v.column1, d.created_at, d.due_at,
    d.created_at, d.id
FROM (VALUES :rows(3)) AS v JOIN deliveries AS d ON d.id = v.column3;

-- name: upsert_alerts
INSERT INTO alerts (source, key, alert, updated_at, state, wake_at) VALUES :rows(6)
ON CONFLICT (source, key) DO UPDATE SET
    alert = excluded.alert, updated_at = excluded.updated_at, state = excluded.state, wake_at = excluded.wake_at;

-- name: upsert_incidents
INSERT INTO incidents (
    id, source, key, room, grp, message, seq, rank, live, over, changed, incident, started_at, ended_at, wake_at
) VALUES :rows(15)
ON CONFLICT (id) DO UPDATE SET
    grp = excluded.grp, changed = excluded.changed, message = excluded.message, seq = excluded.seq, rank = excluded.rank, live = excluded.live, over = excluded.over,
    incident = excluded.incident, ended_at = excluded.ended_at, wake_at = excluded.wake_at;

-- name: upsert_groups
INSERT INTO groups (id, kind, state, ended_at, wake_at) VALUES :rows(5)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, ended_at = excluded.ended_at, wake_at = excluded.wake_at;

-- name: touch_groups
INSERT INTO groups (id, kind, state, ended_at, wake_at) VALUES :rows(5)
ON CONFLICT (id) DO UPDATE SET wake_at = min(coalesce(wake_at, excluded.wake_at), excluded.wake_at)
WHERE groups.state ->> 'flush_at' IS NULL;

-- name: stir_storms
UPDATE groups SET wake_at = min(coalesce(wake_at, v.column2), v.column2)
FROM (VALUES :rows(2)) AS v
WHERE groups.id = v.column1 AND groups.state ->> 'flush_at' IS NULL;

-- name: suppress_event
UPDATE events SET suppressed = ? WHERE seq = ?;

-- name: adopt_event
UPDATE events SET event = ? WHERE seq = ?;

-- name: set_event_aside
UPDATE events SET set_aside = ? WHERE seq = ?;

-- name: count_waiting_events
SELECT count(*) FROM events
WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND set_aside IS NULL;
