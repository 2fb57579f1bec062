-- name: waiting_events
SELECT coalesce(json_agg(json_build_object('seq', seq, 'event', event, 'at', %(now)s::float8) ORDER BY seq), '[]')
FROM (
    SELECT seq, event FROM events
    WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND set_aside IS NULL
    ORDER BY seq LIMIT %(limit)s
) AS waiting;

-- name: known_alerts
SELECT coalesce(json_agg(alert), '[]')
FROM json_array_elements(%s::json) AS wanted
JOIN alerts AS a ON a.source = wanted.value ->> 0 AND a.key = wanted.value ->> 1;

-- name: firing_keys
SELECT coalesce(json_agg(key), '[]') FROM (
    SELECT key FROM alerts WHERE source = %(source)s AND state = 'firing'
    UNION
    SELECT alert FROM events
    WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND source = %(source)s AND alert IS NOT NULL
) AS keys;

-- name: known_incidents
SELECT coalesce(json_agg(incident), '[]')
FROM incidents
WHERE id IN (
    SELECT max(i.id)
    FROM json_array_elements(%s::json) AS wanted
    JOIN incidents AS i ON i.source = wanted.value ->> 0 AND i.key = wanted.value ->> 1
    GROUP BY i.source, i.key, i.room
);

-- name: due_keys
SELECT coalesce(json_agg(json_build_array(source, key) ORDER BY wake_at), '[]')
FROM (
    SELECT source, key, min(wake_at) AS wake_at FROM (
        SELECT source, key, wake_at FROM incidents WHERE wake_at <= %(now)s
        UNION ALL
        SELECT source, key, wake_at FROM alerts WHERE wake_at <= %(now)s
    ) AS due GROUP BY source, key ORDER BY 3 LIMIT %(limit)s
) AS keys;

-- name: due_groups
SELECT coalesce(json_agg(json_build_object(
    'kind', g.kind, 'group', g.state,
    'edits', coalesce((SELECT edits FROM messages WHERE id = (g.state ->> 'message')::int8), 0),
    'shown', (
        SELECT count(*) FROM (
            SELECT DISTINCT source, key FROM incidents WHERE message = (g.state ->> 'message')::int8 AND message != 0
        ) AS shown
    ),
    'incidents', (
        SELECT coalesce(json_agg(incident ORDER BY id), '[]') FROM incidents
        WHERE grp = g.id AND live = 1 AND (g.kind != 'storm' OR changed = 1)
    ),
    'firing', (
        SELECT count(*) FROM incidents WHERE message = (g.state ->> 'message')::int8 AND message != 0 AND over = 0
    )
) ORDER BY g.wake_at), '[]')
FROM (SELECT id, kind, state, wake_at FROM groups WHERE wake_at <= %s ORDER BY wake_at LIMIT %s) AS g;

-- name: open_keys
SELECT coalesce(json_agg(json_build_array(source, key) ORDER BY source, key), '[]') FROM (
    SELECT source, key FROM incidents
    WHERE ended_at IS NULL AND (source, key) > (%s, %s)
    GROUP BY source, key ORDER BY source, key LIMIT %s
) AS keys;

-- name: next_wakes
SELECT
    least((SELECT min(wake_at) FROM incidents WHERE wake_at IS NOT NULL), (SELECT min(wake_at) FROM alerts WHERE wake_at IS NOT NULL)),
    (SELECT min(wake_at) FROM groups WHERE wake_at IS NOT NULL);

-- name: firing_alerts
SELECT coalesce(json_agg(alert), '[]') FROM alerts WHERE state = 'firing';

-- name: open_alerts
SELECT coalesce(json_agg(alert), '[]') FROM alerts
WHERE state = 'firing'
   OR (source, key) IN (SELECT source, key FROM incidents WHERE over = 0 AND ended_at IS NOT NULL);

-- name: keys_in_downtime
SELECT coalesce(json_agg(json_build_array(source, key)), '[]') FROM (
    SELECT DISTINCT source, key FROM incidents WHERE ended_at IS NULL AND incident -> 'held' ->> 'reason' = 'downtime'
) AS keys;

-- name: silences
SELECT coalesce(json_agg(silence), '[]') FROM silences;

-- name: save_silence
INSERT INTO silences (id, silence, ends_at) VALUES (%s, %s, %s)
ON CONFLICT (id) DO UPDATE SET silence = excluded.silence, ends_at = excluded.ends_at;

-- name: count_planned
SELECT count(*) FROM events
WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND seq <= %s AND set_aside IS NULL;

-- name: advance
UPDATE meta SET value = %s WHERE name = 'planned_up_to' AND value < %s;

-- name: insert_messages
INSERT INTO messages (id, room, kind, lineage, grp, labels, route, template, mention)
SELECT * FROM unnest(:rows(int8, text, text, text, text, json, text, text, json));

-- name: insert_deliveries
INSERT INTO deliveries (id, message, event_seq, room, action, state, rank, position, aside, created_at, due_at)
SELECT id, message, seq, room, action, 'waiting', rank, position, aside, created_at, due_at
FROM unnest(:rows(int8, int8, int8, text, text, int8, int8, int8, float8, float8))
    AS v (id, message, seq, room, action, rank, position, aside, created_at, due_at);

-- name: insert_changes
INSERT INTO deliveries (id, message, event_seq, room, action, state, rank, position, content, says, created_at, due_at)
SELECT id, message, seq, room, action, 'waiting', rank, position, content, says, at, at
FROM unnest(:rows(int8, int8, int8, text, text, int8, int8, text, jsonb, float8))
    AS v (id, message, seq, room, action, rank, position, content, says, at);

-- name: ensure_message
INSERT INTO messages (id, room, kind, lineage, grp, labels, route) VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING;

-- name: supersede_edits
UPDATE deliveries SET state = 'superseded', successor = %(id)s, settled_at = %(now)s, aside = 0
WHERE message = %(message)s AND action = %(action)s AND (action = 'edit' OR content IS NULL) AND state = 'waiting' AND id < %(id)s
RETURNING room, rank, state;

-- name: supersede_replies
UPDATE deliveries SET state = 'superseded', successor = %(id)s, settled_at = %(now)s, aside = 0
WHERE message = %(message)s AND action = 'reply' AND state = 'waiting' AND id < %(id)s
  AND says -> 'kind' = %(says)s::jsonb -> 'kind' AND says -> 'alerts' = %(says)s::jsonb -> 'alerts'
RETURNING room, rank, state;

-- name: supersede_by_post
UPDATE deliveries SET state = 'superseded', settled_at = %(now)s, successor = post.id
FROM (
    SELECT id FROM deliveries WHERE message = %(message)s AND action = 'post' AND state = 'waiting' AND id < %(id)s LIMIT 1
) AS post
WHERE deliveries.id = %(id)s
RETURNING room, rank, state;

-- name: move_incidents
UPDATE incidents SET message = %(new)s,
    incident = (incident::jsonb || jsonb_build_object('message', %(new)s::int8, 'at', ''))::json
WHERE message = %(message)s;

-- name: move_tales
UPDATE messages SET tells = %(new)s WHERE tells = %(message)s;

-- name: replace_waiting
UPDATE deliveries SET state = 'superseded', successor = %(post)s, settled_at = %(now)s, aside = 0
WHERE message = %(message)s AND state = 'waiting' AND part = 0 AND id < %(id)s AND (
    action != 'reply'
    OR EXISTS (SELECT 1 FROM deliveries AS p WHERE p.message = %(message)s AND p.action = 'post' AND p.state = 'waiting')
)
RETURNING room, rank, state;

-- name: supersede_unposted
UPDATE deliveries SET state = 'superseded', successor = %(post)s, settled_at = %(now)s
WHERE id = %(id)s
  AND NOT EXISTS (SELECT 1 FROM messages WHERE id = %(message)s AND remote_id IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM deliveries AS l WHERE l.message = %(message)s AND l.state = 'leased')
RETURNING room, rank, state;

-- name: hasten
UPDATE deliveries SET position = id + %(ahead)s
WHERE id IN (
    SELECT id FROM deliveries
    WHERE state = 'waiting' AND room = %(home)s AND action = 'post' AND part = 0 AND rank = 0 AND aside = 0 AND position > 0
    ORDER BY position LIMIT %(alone)s
);

-- name: absorb
UPDATE deliveries SET state = 'merged', successor = %(id)s, settled_at = %(now)s, aside = 0
WHERE state = 'waiting' AND room = %(home)s AND action = 'post' AND part = 0 AND attempts = 0 AND position > 0
RETURNING room, rank, state, message;

-- name: incidents_of
SELECT coalesce(json_agg(incident), '[]') FROM incidents
WHERE message IN (SELECT value::int8 FROM json_array_elements_text(%(messages)s::json));

-- name: absorb_groups
UPDATE groups SET state = (state::jsonb || '{"message": 0, "at": ""}')::json
WHERE (state ->> 'message')::int8 IN (SELECT value::int8 FROM json_array_elements_text(%(messages)s::json));

-- name: absorb_messages
UPDATE deliveries SET message = %(message)s
WHERE message IN (SELECT value::int8 FROM json_array_elements_text(%(messages)s::json));

-- name: absorb_tales
UPDATE messages SET tells = %(message)s
WHERE tells IN (SELECT value::int8 FROM json_array_elements_text(%(messages)s::json));

-- name: forget_messages
DELETE FROM messages WHERE id IN (SELECT value::int8 FROM json_array_elements_text(%(messages)s::json));

-- name: storms
SELECT coalesce(json_agg(state), '[]') FROM groups WHERE wake_at IS NOT NULL AND ended_at IS NULL AND kind = 'storm';

-- name: waiting_posts
SELECT count(*), coalesce(max(event_seq), 0) FROM (
    SELECT action, part, event_seq FROM deliveries WHERE state = 'waiting' AND room = %s ORDER BY position, part LIMIT %s
) AS first_ WHERE action = 'post' AND part = 0;

-- name: insert_merged
INSERT INTO deliveries (
    id, message, event_seq, room, action, state, rank, position, created_at, due_at, settled_at, successor
)
SELECT v.id, d.message, v.seq, d.room, d.action, 'merged', d.rank, v.id, d.created_at, d.due_at, d.created_at, d.id
FROM unnest(:rows(int8, int8, int8)) AS v (id, seq, delivery) JOIN deliveries AS d ON d.id = v.delivery;

-- name: upsert_alerts
INSERT INTO alerts (source, key, alert, updated_at, state, wake_at)
SELECT * FROM unnest(:rows(text, text, json, float8, text, float8))
ON CONFLICT (source, key) DO UPDATE SET
    alert = excluded.alert, updated_at = excluded.updated_at, state = excluded.state, wake_at = excluded.wake_at;

-- name: upsert_incidents
INSERT INTO incidents (
    id, source, key, room, grp, message, seq, rank, live, over, changed, incident, started_at, ended_at, wake_at
)
SELECT * FROM unnest(:rows(int8, text, text, text, text, int8, int8, int8, int8, int8, int8, json, float8, float8, float8))
ON CONFLICT (id) DO UPDATE SET
    grp = excluded.grp, changed = excluded.changed, message = excluded.message, seq = excluded.seq, rank = excluded.rank,
    live = excluded.live, over = excluded.over, incident = excluded.incident, ended_at = excluded.ended_at,
    wake_at = excluded.wake_at;

-- name: upsert_groups
INSERT INTO groups (id, kind, state, ended_at, wake_at) SELECT * FROM unnest(:rows(text, text, json, float8, float8))
ON CONFLICT (id) DO UPDATE SET state = excluded.state, ended_at = excluded.ended_at, wake_at = excluded.wake_at;

-- name: touch_groups
INSERT INTO groups (id, kind, state, ended_at, wake_at) SELECT * FROM unnest(:rows(text, text, json, float8, float8))
ON CONFLICT (id) DO UPDATE SET wake_at = least(groups.wake_at, excluded.wake_at)
WHERE groups.state ->> 'flush_at' IS NULL;

-- name: stir_storms
UPDATE groups SET wake_at = least(wake_at, v.at)
FROM unnest(:rows(text, float8)) AS v (id, at)
WHERE groups.id = v.id AND groups.state ->> 'flush_at' IS NULL;

-- name: suppress_event
UPDATE events SET suppressed = %s WHERE seq = %s;

-- name: adopt_event
UPDATE events SET event = %s WHERE seq = %s;

-- name: set_event_aside
UPDATE events SET set_aside = %s WHERE seq = %s;

-- name: count_waiting_events
SELECT count(*) FROM events
WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to') AND set_aside IS NULL;
