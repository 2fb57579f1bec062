-- name: heads
SELECT coalesce(json_agg(json_build_object(
    'lane', lanes.value ->> 1, 'due_at', d.due_at, 'position', d.position, 'part', d.part,
    'lease', json_build_object(
        'id', d.id, 'room', d.room, 'action', d.action, 'rank', d.rank, 'message', d.message, 'kind', m.kind, 'lineage', m.lineage,
        'template', m.template, 'attempts', d.attempts + 1, 'spent', d.spent, 'created_at', d.created_at,
        'due_at', d.due_at, 'failed_at', d.failed_at, 'failing_since', d.failing_since,
        'content', d.content, 'says', d.says, 'file', d.file, 'origin', m.origin,
        'elsewhere', (SELECT room FROM messages WHERE id = m.tells),
        'remote', m.remote_id, 'space', m.space, 'mention', coalesce(m.mention, '[]'),
        'event', e.event, 'summary', CASE WHEN m.kind IN ('living', 'digest') THEN (
            SELECT CASE WHEN count(*) > 0 THEN json_build_object(
                'incidents', json_agg(incident ORDER BY over, rank, id), 'firing', min(firing), 'ended', min(ended),
                'started_at', min(started), 'ended_at', min(ended_at)
            ) END
            FROM (
                SELECT
                    incident, over, rank, id, count(*) FILTER (WHERE over = 0) OVER () AS firing,
                    count(*) FILTER (WHERE over = 1) OVER () AS ended, min(started_at) OVER () AS started,
                    max(ended_at) OVER () AS ended_at
                FROM incidents AS i
                WHERE message = coalesce(m.tells, m.id) AND NOT EXISTS (
                    SELECT 1 FROM incidents AS newer
                    WHERE newer.source = i.source AND newer.key = i.key AND newer.id > i.id AND newer.message = i.message
                ) -- an alert is shown once, by its last life
                ORDER BY over, rank, id LIMIT %(named)s
            ) AS shown
        ) END
    ),
    'edits', m.edits, 'labels', m.labels,
    'newer', (SELECT kind FROM messages WHERE id = m.tells)
)), '[]')
FROM json_array_elements(%(lanes)s::json) AS lanes
CROSS JOIN LATERAL (
    SELECT * FROM deliveries
    WHERE state = 'waiting' AND room = lanes.value ->> 0 AND (aside = 0 OR due_at <= %(now)s)
    ORDER BY position, part LIMIT 1
) AS d
JOIN messages AS m ON m.id = d.message
JOIN events AS e ON e.seq = d.event_seq;

-- name: next_aside
SELECT coalesce(json_agg(json_build_array(lane, due_at)), '[]') FROM (
    SELECT lanes.value ->> 1 AS lane, min(d.due_at) AS due_at
    FROM json_array_elements(%(lanes)s::json) AS lanes
    JOIN deliveries AS d ON d.room = lanes.value ->> 0 AND d.state = 'waiting' AND d.aside = 1 AND d.due_at > %(now)s
    GROUP BY 1
) AS next_;

-- name: put_off
SELECT coalesce(json_agg(json_build_array(
    d.id, d.message, d.due_at, d.failed_at,
    CASE WHEN (rooms.value ->> 1)::boolean THEN 0 ELSE d.brought_forward END
)), '[]')
FROM json_array_elements(%(rooms)s::json) AS rooms
JOIN deliveries AS d ON d.room = rooms.value ->> 0 AND d.state = 'waiting' AND (d.aside = 1 OR d.failed_at IS NOT NULL)
WHERE d.due_at > %(now)s AND NOT (d.failed_at IS NULL AND d.action = 'post');

-- name: bring_forward
UPDATE deliveries SET due_at = v.due_at, brought_forward = v.times
FROM unnest(:rows(int8, float8, int8)) AS v (id, due_at, times)
WHERE deliveries.id = v.id AND deliveries.state = 'waiting';

-- name: lease
UPDATE deliveries SET
    state = 'leased', attempts = attempts + 1, action = v.action,
    content = CASE WHEN v.action = 'post' THEN NULL ELSE content END,
    says = CASE WHEN v.action = 'post' THEN NULL ELSE says END
FROM unnest(:rows(int8, text)) AS v (id, action)
WHERE deliveries.id = v.id AND deliveries.state = 'waiting';

-- name: drop
UPDATE deliveries SET state = 'dropped', settled_at = %s, aside = 0 WHERE id = %s AND state = 'waiting';

-- name: incidents_of
SELECT coalesce(json_agg(i.incident), '[]')
FROM json_array_elements(%(alerts)s::json) AS wanted
JOIN incidents AS i ON i.source = wanted.value ->> 0 AND i.key = wanted.value ->> 1
WHERE i.message = %(message)s AND NOT EXISTS (
    SELECT 1 FROM incidents AS newer
    WHERE newer.source = i.source AND newer.key = i.key AND newer.id > i.id AND newer.message = i.message
);

-- name: unnamed
SELECT coalesce(json_agg(incident ORDER BY over, rank, id), '[]') FROM (
    SELECT incident, over, rank, id FROM incidents AS i
    WHERE message = (SELECT coalesce(tells, id) FROM messages WHERE id = %(message)s) AND NOT EXISTS (
        SELECT 1 FROM incidents AS newer
        WHERE newer.source = i.source AND newer.key = i.key AND newer.id > i.id AND newer.message = i.message
    )
    ORDER BY over, rank, id LIMIT %(most)s OFFSET %(named)s
) AS shown;

-- name: outdate
UPDATE deliveries SET state = CASE WHEN newer.id > deliveries.id THEN 'superseded' ELSE 'dropped' END, settled_at = %(now)s,
    aside = 0, successor = CASE WHEN newer.id > deliveries.id THEN newer.id END
FROM (SELECT max(id) AS id FROM deliveries WHERE message = %(message)s) AS newer
WHERE deliveries.id = %(id)s AND state = 'waiting'
RETURNING room, rank, state;

-- name: take_over
UPDATE deliveries SET state = 'superseded', successor = %(id)s, settled_at = %(now)s, aside = 0
WHERE message = %(message)s AND state = 'waiting' AND part = 0 AND id > %(id)s AND (content IS NULL OR action != 'edit')
  AND (action = 'edit' OR (%(action)s = 'post' AND action = 'reply'))
RETURNING room, rank, state;

-- name: count_edit
UPDATE messages SET edits = edits + 1 WHERE id = %s AND edits < %s;

-- name: uncount_edit
UPDATE messages SET edits = greatest(0, edits - 1) WHERE id = %(message)s;

-- name: seal_message
UPDATE messages SET edits = %(most)s WHERE id = %(message)s;

-- name: forget_message
UPDATE messages SET remote_id = NULL, state = 'pending', edits = 0 WHERE id = %(message)s;

-- name: settle
UPDATE deliveries SET
    state = v.state, attempts = v.attempts, spent = v.spent, due_at = v.due_at, aside = v.aside,
    reason = v.reason, last_error = v.detail, settled_at = v.settled_at, failing_since = v.failing_since,
    failed_at = v.failed_at, brought_forward = CASE WHEN v.aside = 1 THEN brought_forward ELSE 0 END
FROM unnest(:rows(int8, text, int8, float8, float8, int8, text, text, float8, float8, float8))
    AS v (id, state, attempts, spent, due_at, aside, reason, detail, settled_at, failing_since, failed_at)
WHERE deliveries.id = v.id AND deliveries.state = 'leased';

-- name: settle_messages
UPDATE messages SET remote_id = v.remote_id, space = v.space, state = 'standing'
FROM unnest(:rows(int8, text, text)) AS v (id, remote_id, space)
WHERE messages.id = v.id AND messages.remote_id IS NULL;

-- name: add_part
INSERT INTO deliveries (
    id, message, event_seq, room, action, state, rank, position, part, created_at, due_at, content
)
SELECT %s, message, event_seq, room, 'reply', 'waiting', rank, position, %s, created_at, %s, %s
FROM deliveries WHERE id = %s;

-- name: add_file
INSERT INTO deliveries (
    id, message, event_seq, room, action, state, rank, position, created_at, due_at, file
)
SELECT %(id)s, message, event_seq, room, 'file', 'waiting', rank, %(id)s, created_at, %(now)s, %(file)s
FROM deliveries WHERE id = %(delivery)s;

-- name: attached
SELECT coalesce(json_agg(file), '[]') FROM deliveries WHERE message = %s AND file IS NOT NULL;

-- name: hold_message
UPDATE deliveries SET aside = %(aside)s::int8,
    due_at = CASE WHEN %(aside)s = 1 THEN greatest(due_at, %(due_at)s) ELSE least(due_at, %(due_at)s) END
WHERE message = %(message)s AND state = 'waiting';

-- name: free_message
UPDATE deliveries SET aside = 0, due_at = least(due_at, %(now)s)
WHERE message = %(message)s AND state = 'waiting' AND aside = 1;

-- name: unset_aside
UPDATE deliveries SET aside = 0, due_at = CASE WHEN failed_at IS NULL THEN least(due_at, %(now)s) ELSE due_at END
WHERE state = 'waiting' AND message = (SELECT message FROM deliveries WHERE id = %(id)s);

-- name: recover
UPDATE deliveries SET state = 'waiting', attempts = greatest(0, attempts - 1) WHERE state = 'leased' RETURNING room;

-- name: wake_groups
UPDATE groups SET wake_at = %(now)s
WHERE wake_at IS NULL AND (
    id IN (SELECT grp FROM incidents WHERE live = 1 AND grp IS NOT NULL)
    OR (ended_at IS NULL AND kind = 'storm')
);

-- name: wake_ended
UPDATE incidents SET wake_at = %(now)s,
    incident = (incident::jsonb || jsonb_build_object('wake_at', %(now)s::float8))::json
WHERE wake_at IS NULL AND ended_at IS NOT NULL AND live = 1 AND grp IS NULL AND id = (
    SELECT max(id) FROM incidents AS i
    WHERE i.source = incidents.source AND i.key = incidents.key AND i.room = incidents.room
);

-- name: not_later_than
UPDATE deliveries SET due_at = %(latest)s WHERE state = 'waiting' AND due_at > %(latest)s;

-- name: bury_homeless
UPDATE deliveries SET
    state = 'dead', settled_at = %(now)s, aside = 0, reason = 'unknown_room',
    last_error = 'no room ' || room || ' is configured any more'
WHERE state = 'waiting' AND room NOT IN (SELECT json_array_elements_text(%(rooms)s::json))
RETURNING room;

-- name: depths
SELECT coalesce(json_agg(json_build_array(room, rank, n)), '[]') FROM (
    SELECT room, rank, count(*) AS n FROM deliveries WHERE state = 'waiting' GROUP BY room, rank
) AS depths;

-- name: waiting_counts
SELECT coalesce(json_agg(json_build_array(room, n)), '[]') FROM (
    SELECT room, count(*) AS n FROM deliveries WHERE state = 'waiting' GROUP BY room
) AS counts;

-- name: set_aside
SELECT coalesce(json_agg(json_build_array(room, rank, n, due_at)), '[]') FROM (
    SELECT room, rank, count(*) AS n, min(due_at) AS due_at FROM deliveries
    WHERE state = 'waiting' AND aside = 1 AND NOT (failed_at IS NULL AND action = 'post')
    GROUP BY room, rank
) AS aside;

-- name: deaths
SELECT coalesce(json_agg(json_build_array(room, dead, untold, reason, last_error, title)), '[]') FROM (
    SELECT counted.room, dead, coalesce(untold, 0) AS untold, d.reason, d.last_error, e.event ->> 'title' AS title
    FROM (SELECT room, count(*) AS dead FROM deliveries WHERE state = 'dead' GROUP BY room) AS counted
    LEFT JOIN (
        SELECT m.room, count(*) AS untold FROM incidents AS i JOIN messages AS m ON m.id = i.message
        WHERE i.over = 0 AND i.source != %(operator)s AND m.state = 'pending'
          AND EXISTS (SELECT 1 FROM deliveries WHERE message = m.id AND state = 'dead')
        GROUP BY m.room
    ) AS pending ON pending.room = counted.room
    LEFT JOIN LATERAL (
        SELECT last.* FROM deliveries AS last JOIN events AS its ON its.seq = last.event_seq
        WHERE last.state = 'dead' AND last.room = counted.room AND its.source != %(operator)s
        ORDER BY last.id DESC LIMIT 1
    ) AS d ON true
    LEFT JOIN events AS e ON e.seq = d.event_seq
) AS deaths;

-- name: dead_counts
SELECT coalesce(json_agg(json_build_array(room, n)), '[]') FROM (
    SELECT room, count(*) AS n FROM deliveries WHERE state = 'dead' GROUP BY room
) AS counts;

-- name: oldest_waiting
SELECT coalesce(json_agg(json_build_array(room, oldest)), '[]') FROM (
    SELECT rooms.room, (
        SELECT created_at FROM deliveries AS d WHERE d.room = rooms.room AND state = 'waiting' ORDER BY position, part LIMIT 1
    ) AS oldest
    FROM json_array_elements_text(%s::json) AS rooms (room)
) AS found WHERE oldest IS NOT NULL;

-- name: digest_counts
SELECT coalesce(json_agg(json_build_array(rank, source, n)), '[]') FROM (
    SELECT rank, source, count(*) AS n FROM incidents WHERE message = %(message)s GROUP BY rank, source
    UNION ALL
    SELECT d.rank, e.source, count(*) FROM deliveries AS d JOIN events AS e ON e.seq = d.event_seq
    WHERE d.message = %(message)s AND d.state = 'merged' AND d.action = 'post' AND e.alert IS NULL
      AND e.event ->> 'acknowledged_by' IS NULL GROUP BY d.rank, e.source
) AS counts;

-- name: digest_lines
SELECT coalesce(json_agg(json_build_array(rank, state, event::jsonb || jsonb_build_object(
    'body', '', 'labels', CASE WHEN %(labels)s THEN (event -> 'labels')::jsonb ELSE '{}' END,
    'links', '[]'::jsonb, 'files', '[]'::jsonb, 'notes', '[]'::jsonb
), started) ORDER BY rank, started, id), '[]') FROM (
    SELECT rank, CASE WHEN over = 1 THEN incident ->> 'state' ELSE 'firing' END AS state, incident -> 'event' AS event,
        started_at AS started, id
    FROM incidents WHERE message = %(message)s
    UNION ALL
    SELECT d.rank, 'notice', e.event, e.received_at, d.id FROM deliveries AS d JOIN events AS e ON e.seq = d.event_seq
    WHERE d.message = %(message)s AND d.state = 'merged' AND d.action = 'post' AND e.alert IS NULL
      AND e.event ->> 'acknowledged_by' IS NULL
    ORDER BY rank, started, id LIMIT %(limit)s
) AS lines;

-- name: storm_of
SELECT g.state FROM messages AS m JOIN groups AS g ON g.id = m.grp AND g.kind = 'storm' WHERE m.id = %s;

-- name: note_of
SELECT json_build_object('room', v.room, 'to', v.fallback, 'began_at', v.began_at, 'moved', v.moved)
FROM messages AS m JOIN diversions AS v ON v.id = m.about WHERE m.id = %s;
