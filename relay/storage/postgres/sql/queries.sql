-- name: list_events
SELECT coalesce(json_agg(event::jsonb - 'severity_given' || jsonb_build_object(
    'seq', seq, 'occurred_at', iso((event ->> 'occurred_at')::float8), 'received_at', iso(received_at), 'suppressed', suppressed,
    'state', CASE WHEN set_aside IS NOT NULL THEN 'set_aside' WHEN seq > planned THEN 'waiting' ELSE 'planned' END
) ORDER BY seq DESC), '[]')
FROM (
    SELECT *, (SELECT value FROM meta WHERE name = 'planned_up_to') AS planned FROM events
    WHERE seq > %(after)s AND (%(source)s::text IS NULL OR source = %(source)s)
    ORDER BY seq DESC LIMIT %(limit)s
) AS found;

-- name: list_refusals
SELECT coalesce(json_agg(json_build_object(
    'id', id, 'source', source, 'received_at', iso(received_at), 'reason', reason, 'detail', detail,
    'payload', payload, 'state', 'refused'
) ORDER BY id DESC), '[]')
FROM (
    SELECT * FROM refusals WHERE id > %(after)s AND (%(source)s::text IS NULL OR source = %(source)s)
    ORDER BY id DESC LIMIT %(limit)s
) AS found;

-- name: show_event
SELECT event::jsonb - 'severity_given' || jsonb_build_object(
    'seq', seq, 'occurred_at', iso((event ->> 'occurred_at')::float8), 'received_at', iso(e.received_at),
    'incidents', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'id', i.id, 'room', i.room, 'state', i.incident ->> 'state', 'group', i.grp, 'message_id', m.remote_id,
            'edits', m.edits, 'held', i.incident -> 'held', 'ack', i.incident -> 'ack',
            'told', i.incident ->> 'shown' IS NOT NULL,
            'waits', (i.incident -> 'news')::jsonb @> to_jsonb(e.seq),
            'due_at', (SELECT iso((state ->> 'flush_at')::float8) FROM groups WHERE id = i.grp)
        )), '[]')
        FROM incidents AS i LEFT JOIN messages AS m ON m.id = i.message
        WHERE i.source = e.source AND i.key = e.event ->> 'key' AND i.started_at <= e.received_at
          AND (i.ended_at IS NULL OR i.ended_at >= (e.event ->> 'occurred_at')::float8)
    ),
    'payload', (SELECT as_text(payload) FROM events AS first_ WHERE first_.seq = e.first_seq),
    'suppressed', suppressed,
    'set_aside', set_aside,
    'state', CASE WHEN set_aside IS NOT NULL THEN 'set_aside'
        WHEN seq > (SELECT value FROM meta WHERE name = 'planned_up_to') THEN 'waiting' ELSE 'planned' END
)
FROM events AS e WHERE e.id = %s;

-- name: list_deliveries
SELECT coalesce(json_agg(json_build_object(
    'id', id, 'event_id', event_id, 'room', room, 'state', state, 'reason', reason, 'attempts', attempts,
    'action', action, 'created_at', iso(created_at), 'due_at', iso(due_at), 'message_id', remote_id, 'last_error', last_error,
    'route', route, 'successor', successor, 'settled_at', iso(settled_at), 'part', part,
    'severity', event ->> 'severity', 'title', event ->> 'title',
    'set_aside', state = 'waiting' AND aside = 1 AND NOT (failed_at IS NULL AND action = 'post')
) ORDER BY id DESC), '[]')
FROM (
    SELECT d.*, m.remote_id, m.route, e.id AS event_id, e.event
    FROM deliveries AS d JOIN messages AS m ON m.id = d.message JOIN events AS e ON e.seq = d.event_seq
    WHERE (%(ids)s::json IS NULL OR d.id IN (SELECT value::int8 FROM json_array_elements_text(%(ids)s::json)))
      AND (%(event)s::text IS NULL OR e.id = %(event)s)
      AND (%(state)s::json IS NULL OR d.state IN (SELECT json_array_elements_text(%(state)s::json)))
      AND (%(room)s::text IS NULL OR d.room = %(room)s)
      AND (%(reason)s::text IS NULL OR d.reason = %(reason)s)
      AND (%(created_before)s::float8 IS NULL OR d.created_at < %(created_before)s)
    ORDER BY d.id DESC LIMIT %(limit)s
) AS found;

-- name: retry_deliveries
UPDATE deliveries SET
    state = 'waiting', due_at = %(now)s, aside = 0, spent = 0, failing_since = NULL, failed_at = NULL,
    brought_forward = 0, settled_at = NULL,
    reason = NULL, last_error = NULL
WHERE id IN (SELECT value::int8 FROM json_array_elements_text(%(ids)s::json)) AND state IN ('dead', 'dropped', 'waiting')
RETURNING id, room, rank;

-- name: drop_deliveries
UPDATE deliveries SET state = 'dropped', settled_at = %(now)s, aside = 0
WHERE id IN (SELECT value::int8 FROM json_array_elements_text(%(ids)s::json)) AND state IN ('waiting', 'dead')
RETURNING id, room, rank;

-- name: count_states
SELECT coalesce(json_object_agg(state, n), '{}') FROM (
    SELECT state, count(*) AS n FROM deliveries WHERE settled_at IS NOT NULL GROUP BY state
    UNION ALL
    SELECT 'waiting', count(*) FROM deliveries WHERE state = 'waiting'
    UNION ALL
    SELECT 'leased', count(*) FROM deliveries WHERE state = 'leased'
) AS counts WHERE n > 0;

-- name: count_events
SELECT json_build_object(
    'total', (SELECT count(*) FROM events), 'refused', (SELECT count(*) FROM refusals),
    'waiting', (SELECT count(*) FROM events WHERE set_aside IS NULL
                AND seq > (SELECT value FROM meta WHERE name = 'planned_up_to')),
    'suppressed', (SELECT count(*) FROM events WHERE suppressed IS NOT NULL),
    'set_aside', (SELECT count(*) FROM events WHERE set_aside IS NOT NULL)
);

-- name: count_untold_events
SELECT count(*) FROM events
WHERE suppressed IS NULL
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq)
  AND NOT EXISTS (
    SELECT 1 FROM incidents WHERE live = 1 AND grp IS NOT NULL AND (incident -> 'news')::jsonb @> to_jsonb(events.seq)
  );

-- name: list_incidents
SELECT coalesce(json_agg(json_build_object(
    'id', id, 'source', source, 'key', key, 'room', room, 'message_id', remote_id, 'state', incident ->> 'state',
    'severity', incident -> 'event' ->> 'severity', 'title', incident -> 'event' ->> 'title',
    'labels', incident -> 'event' -> 'labels', 'group', grp,
    'started_at', iso(started_at),
    'ended_at', iso(ended_at),
    'acknowledged_by', incident -> 'ack' ->> 'by', 'comment', incident -> 'ack' ->> 'comment',
    'held', incident -> 'held' ->> 'reason', 'held_by', incident -> 'held' ->> 'by',
    'flapping', (incident ->> 'quiet')::boolean,
    'undelivered', CASE WHEN remote_id IS NULL THEN (
        SELECT reason || coalesce(': ' || last_error, '') FROM deliveries
        WHERE message = shown.message AND state = 'dead' ORDER BY id DESC LIMIT 1
    ) END
) ORDER BY over, rank, incident ->> 'ack' IS NOT NULL, started_at DESC, id), '[]')
FROM (
    SELECT i.*, m.remote_id FROM incidents AS i LEFT JOIN messages AS m ON m.id = i.message
    WHERE i.id = %(id)s OR (%(id)s::int8 IS NULL AND (%(ended)s OR i.over = 0))
    ORDER BY i.over, i.rank, i.incident ->> 'ack' IS NOT NULL, i.started_at DESC, i.id LIMIT %(limit)s
) AS shown;

-- name: events_of_incident
SELECT coalesce(json_agg(event ORDER BY seq DESC), '[]') FROM (
    SELECT e.seq, json_build_object(
        'id', e.id, 'received_at', iso(e.received_at),
        'status', e.event ->> 'status', 'severity', e.event ->> 'severity', 'title', e.event ->> 'title',
        'suppressed', e.suppressed,
        'state', CASE WHEN e.set_aside IS NOT NULL THEN 'set_aside'
            WHEN e.seq > (SELECT value FROM meta WHERE name = 'planned_up_to') THEN 'waiting' ELSE 'planned' END,
        'waits', (i.incident -> 'news')::jsonb @> to_jsonb(e.seq),
        'deliveries', (
            SELECT coalesce(json_agg(json_build_object('id', d.id, 'action', d.action, 'room', d.room, 'state', d.state)), '[]')
            FROM deliveries AS d
            WHERE d.event_seq = e.seq AND (d.room = i.room OR d.message = i.message) AND d.part = 0
        )
    ) AS event
    FROM incidents AS i JOIN events AS e ON e.source = i.source AND e.alert = i.key
    WHERE i.id = %(id)s AND i.started_at <= e.received_at
      AND (i.ended_at IS NULL OR i.ended_at >= (e.event ->> 'occurred_at')::float8)
    ORDER BY e.seq DESC LIMIT %(limit)s
) AS found;

-- name: message_of_incident
SELECT json_build_object(
    'id', m.id, 'room', m.room, 'kind', m.kind, 'template', m.template, 'labels', m.labels,
    'event', i.incident -> 'event', 'summary', (
        SELECT json_build_object(
            'incidents', json_agg(incident ORDER BY over, rank, id), 'firing', min(firing), 'ended', min(ended),
            'started_at', min(started), 'ended_at', min(ended_at)
        )
        FROM (
            SELECT
                incident, over, rank, id, count(*) FILTER (WHERE over = 0) OVER () AS firing,
                count(*) FILTER (WHERE over = 1) OVER () AS ended, min(started_at) OVER () AS started,
                max(ended_at) OVER () AS ended_at
            FROM incidents AS i
            WHERE message = m.id AND NOT EXISTS (
                SELECT 1 FROM incidents AS newer
                WHERE newer.source = i.source AND newer.key = i.key AND newer.id > i.id AND newer.message = i.message
            )
            ORDER BY over, rank, id LIMIT %(named)s
        ) AS shown
    )
)
FROM incidents AS i JOIN messages AS m ON m.id = i.message AND m.state = 'standing' AND m.kind = 'living'
WHERE i.id = %(id)s;

-- name: count_open
SELECT count(*) FROM (SELECT DISTINCT source, key FROM incidents WHERE over = 0) AS alerts;

-- name: key_of_incident
SELECT source, key FROM incidents WHERE id = %s AND over = 0;

-- name: newest
SELECT
    greatest((SELECT max(seq) FROM events), (SELECT value FROM meta WHERE name = 'planned_up_to')),
    (SELECT coalesce(max(settled_at), 0) FROM deliveries WHERE settled_at IS NOT NULL);

-- name: events_after
SELECT coalesce(json_agg(event::jsonb - 'severity_given' || jsonb_build_object(
    'seq', seq, 'occurred_at', iso((event ->> 'occurred_at')::float8), 'received_at', iso(received_at), 'suppressed', suppressed,
    'state', CASE WHEN set_aside IS NOT NULL THEN 'set_aside' WHEN seq > planned THEN 'waiting' ELSE 'planned' END
) ORDER BY seq), '[]')
FROM (
    SELECT *, (SELECT value FROM meta WHERE name = 'planned_up_to') AS planned FROM events
    WHERE seq > %(seq)s ORDER BY seq LIMIT %(limit)s
) AS found;

-- name: outcomes_after
SELECT settled_at, json_build_object(
    'id', id, 'event_id', event_id, 'room', room, 'state', state, 'reason', reason, 'attempts', attempts,
    'action', action, 'message_id', remote_id, 'last_error', last_error, 'route', route,
    'settled_at', iso(settled_at)
)
FROM (
    SELECT d.*, m.remote_id, m.route, e.id AS event_id
    FROM deliveries AS d JOIN messages AS m ON m.id = d.message LEFT JOIN events AS e ON e.seq = d.event_seq
    WHERE d.settled_at IS NOT NULL AND (d.settled_at > %(at)s OR (d.settled_at = %(at)s AND d.id > %(id)s))
    ORDER BY d.settled_at, d.id LIMIT %(limit)s
) AS found
ORDER BY settled_at, id;
