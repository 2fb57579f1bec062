-- name: list_events
SELECT json_group_array(json_set(
    json_remove(event, '$.severity_given'),
    '$.seq', seq,
    '$.occurred_at', strftime('%Y-%m-%dT%H:%M:%fZ', event ->> 'occurred_at', 'unixepoch'),
    '$.received_at', strftime('%Y-%m-%dT%H:%M:%fZ', received_at, 'unixepoch'),
    '$.suppressed', suppressed,
    '$.state', iif(set_aside IS NOT NULL, 'set_aside', iif(seq > planned, 'waiting', 'planned'))
))
FROM (
    SELECT *, (SELECT value FROM meta WHERE name = 'planned_up_to') AS planned FROM events
    WHERE seq > :after AND (:source IS NULL OR source = :source)
    ORDER BY seq DESC LIMIT :limit
);

-- name: list_refusals
SELECT json_group_array(json_object(
    'id', id, 'source', source, 'received_at', strftime('%Y-%m-%dT%H:%M:%fZ', received_at, 'unixepoch'), 'reason', reason, 'detail', detail,
    'payload', payload, 'state', 'refused'
))
FROM (
    SELECT * FROM refusals WHERE id > :after AND (:source IS NULL OR source = :source) ORDER BY id DESC LIMIT :limit
);

-- name: show_event
SELECT json_set(
    json_remove(event, '$.severity_given'),
    '$.seq', seq,
    '$.occurred_at', strftime('%Y-%m-%dT%H:%M:%fZ', event ->> 'occurred_at', 'unixepoch'),
    '$.received_at', strftime('%Y-%m-%dT%H:%M:%fZ', e.received_at, 'unixepoch'),
    '$.incidents', json((
        SELECT json_group_array(json_object(
            'id', i.id, 'room', i.room, 'state', i.incident ->> 'state', 'group', i.grp, 'message_id', m.remote_id,
            'edits', m.edits, 'held', i.incident -> 'held', 'ack', i.incident -> 'ack',
            'told', json(iif(i.incident ->> 'shown' IS NULL, 'false', 'true')),
            'waits', json(iif(EXISTS (
                SELECT 1 FROM json_each(i.incident, '$.news') AS n WHERE n.value = e.seq
            ), 'true', 'false')),
            'due_at', (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', state ->> 'flush_at', 'unixepoch') FROM groups WHERE id = i.grp)
        ))
        FROM incidents AS i LEFT JOIN messages AS m ON m.id = i.message
        WHERE i.source = e.source AND i.key = e.event ->> 'key' AND i.started_at <= e.received_at
          AND (i.ended_at IS NULL OR i.ended_at >= e.event ->> 'occurred_at')
    )),
    '$.payload', (SELECT cast(payload AS TEXT) FROM events AS first WHERE first.seq = e.first_seq),
    '$.suppressed', suppressed,
    '$.set_aside', set_aside,
    '$.state', iif(set_aside IS NOT NULL, 'set_aside', iif(
        seq > (SELECT value FROM meta WHERE name = 'planned_up_to'), 'waiting', 'planned'
    ))
)
FROM events AS e WHERE e.id = ?;

-- name: list_deliveries
SELECT json_group_array(json_object(
    'id', id, 'event_id', event_id, 'room', room, 'state', state, 'reason', reason, 'attempts', attempts,
    'action', action, 'created_at', strftime('%Y-%m-%dT%H:%M:%fZ', created_at, 'unixepoch'), 'due_at', strftime('%Y-%m-%dT%H:%M:%fZ', due_at, 'unixepoch'), 'message_id', remote_id, 'last_error', last_error,
    'route', route, 'successor', successor, 'settled_at', strftime('%Y-%m-%dT%H:%M:%fZ', settled_at, 'unixepoch'), 'part', part,
    'severity', event ->> 'severity', 'title', event ->> 'title',
    'set_aside', json(iif(state = 'waiting' AND aside = 1 AND NOT (failed_at IS NULL AND action = 'post'), 'true', 'false'))
))
FROM (
    SELECT d.*, m.remote_id, m.route, e.id AS event_id, e.event
    FROM deliveries AS d JOIN messages AS m ON m.id = d.message JOIN events AS e ON e.seq = d.event_seq
    WHERE (:ids IS NULL OR d.id IN (SELECT value FROM json_each(:ids)))
      AND (:event IS NULL OR e.id = :event)
      AND (:state IS NULL OR d.state IN (SELECT value FROM json_each(:state)))
      AND (:room IS NULL OR d.room = :room)
      AND (:reason IS NULL OR d.reason = :reason)
      AND (:created_before IS NULL OR d.created_at < :created_before)
    ORDER BY d.id DESC LIMIT :limit
);

-- name: retry_deliveries
UPDATE deliveries SET
    state = 'waiting', due_at = :now, aside = 0, spent = 0, failing_since = NULL, failed_at = NULL,
    brought_forward = 0, settled_at = NULL,
    reason = NULL, last_error = NULL
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('dead', 'dropped', 'waiting')
RETURNING id, room, rank;

-- name: drop_deliveries
UPDATE deliveries SET state = 'dropped', settled_at = :now, aside = 0
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('waiting', 'dead')
RETURNING id, room, rank;

-- name: count_states
SELECT json_group_object(state, n) FROM (
    SELECT state, count(*) AS n FROM deliveries WHERE settled_at IS NOT NULL GROUP BY state
    UNION ALL
    SELECT 'waiting', count(*) FROM deliveries WHERE state = 'waiting'
    UNION ALL
    SELECT 'leased', count(*) FROM deliveries WHERE state = 'leased'
) WHERE n > 0;

-- name: count_events
SELECT json_object(
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
  AND seq NOT IN (SELECT n.value FROM incidents, json_each(incident, '$.news') AS n WHERE live = 1 AND grp IS NOT NULL);

-- name: list_incidents
SELECT json_group_array(json_object(
    'id', id, 'source', source, 'key', key, 'room', room, 'message_id', remote_id, 'state', incident ->> 'state',
    'severity', incident -> 'event' ->> 'severity', 'title', incident -> 'event' ->> 'title',
    'labels', incident -> 'event' -> 'labels', 'group', grp,
    'started_at', strftime('%Y-%m-%dT%H:%M:%fZ', started_at, 'unixepoch'),
    'ended_at', strftime('%Y-%m-%dT%H:%M:%fZ', ended_at, 'unixepoch'),
    'acknowledged_by', incident -> 'ack' ->> 'by', 'comment', incident -> 'ack' ->> 'comment',
    'held', incident -> 'held' ->> 'reason', 'held_by', incident -> 'held' ->> 'by',
    'flapping', json(iif(incident ->> 'quiet', 'true', 'false')),
    'undelivered', iif(remote_id IS NULL, (
        SELECT reason || coalesce(': ' || last_error, '') FROM deliveries
        WHERE message = shown.message AND state = 'dead' ORDER BY id DESC LIMIT 1
    ), NULL)
))
FROM (
    SELECT i.*, m.remote_id FROM incidents AS i LEFT JOIN messages AS m ON m.id = i.message
    WHERE i.id = :id OR (:id IS NULL AND (:ended OR i.over = 0))
    ORDER BY i.over, i.rank, i.incident ->> '$.ack' IS NOT NULL, i.started_at DESC, i.id LIMIT :limit
) AS shown;

-- name: events_of_incident
SELECT json_group_array(json(event)) FROM (
    SELECT json_object(
        'id', e.id, 'received_at', strftime('%Y-%m-%dT%H:%M:%fZ', e.received_at, 'unixepoch'),
        'status', e.event ->> 'status', 'severity', e.event ->> 'severity', 'title', e.event ->> 'title',
        'suppressed', e.suppressed,
        'state', iif(e.set_aside IS NOT NULL, 'set_aside', iif(
            e.seq > (SELECT value FROM meta WHERE name = 'planned_up_to'), 'waiting', 'planned'
        )),
        'waits', json(iif(EXISTS (
            SELECT 1 FROM json_each(i.incident, '$.news') AS n WHERE n.value = e.seq
        ), 'true', 'false')),
        'deliveries', json((
            SELECT json_group_array(json_object('id', d.id, 'action', d.action, 'room', d.room, 'state', d.state))
            FROM deliveries AS d
            WHERE d.event_seq = e.seq AND (d.room = i.room OR d.message = i.message) AND d.part = 0
        ))
    ) AS event
    FROM incidents AS i JOIN events AS e ON e.source = i.source AND e.alert = i.key
    WHERE i.id = :id AND i.started_at <= e.received_at
      AND (i.ended_at IS NULL OR i.ended_at >= e.event ->> 'occurred_at')
    ORDER BY e.seq DESC LIMIT :limit
);

-- name: message_of_incident
SELECT json_object(
    'id', m.id, 'room', m.room, 'kind', m.kind, 'template', m.template, 'labels', json(m.labels),
    'event', i.incident -> 'event', 'summary', json((
        SELECT json_object(
            'incidents', json_group_array(json(incident)), 'firing', firing, 'ended', ended, 'started_at', started,
            'ended_at', ended_at
        )
        FROM (
            SELECT
                incident, count(*) FILTER (WHERE over = 0) OVER () AS firing,
                count(*) FILTER (WHERE over = 1) OVER () AS ended, min(started_at) OVER () AS started,
                max(ended_at) OVER () AS ended_at
            FROM incidents AS i
            WHERE message = m.id AND NOT EXISTS (
                SELECT 1 FROM incidents AS newer
                WHERE newer.source = i.source AND newer.key = i.key AND newer.id > i.id AND newer.message = i.message
            )
            ORDER BY over, rank, id LIMIT :named
        )
    ))
)
FROM incidents AS i JOIN messages AS m ON m.id = i.message AND m.state = 'standing' AND m.kind = 'living'
WHERE i.id = :id;

-- name: count_open
SELECT count(*) FROM (SELECT DISTINCT source, key FROM incidents WHERE over = 0);

-- name: key_of_incident
SELECT source, key FROM incidents WHERE id = ? AND over = 0;

-- name: newest
SELECT
    (SELECT max(coalesce(max(seq), 0), (SELECT value FROM meta WHERE name = 'planned_up_to')) FROM events),
    (SELECT coalesce(max(settled_at), 0) FROM deliveries WHERE settled_at IS NOT NULL);

-- name: events_after
SELECT json_group_array(json_set(
    json_remove(event, '$.severity_given'),
    '$.seq', seq,
    '$.occurred_at', strftime('%Y-%m-%dT%H:%M:%fZ', event ->> 'occurred_at', 'unixepoch'),
    '$.received_at', strftime('%Y-%m-%dT%H:%M:%fZ', received_at, 'unixepoch'),
    '$.suppressed', suppressed,
    '$.state', iif(set_aside IS NOT NULL, 'set_aside', iif(seq > planned, 'waiting', 'planned'))
))
FROM (
    SELECT *, (SELECT value FROM meta WHERE name = 'planned_up_to') AS planned FROM events
    WHERE seq > :seq ORDER BY seq LIMIT :limit
);

-- name: outcomes_after
SELECT settled_at, json_object(
    'id', id, 'event_id', event_id, 'room', room, 'state', state, 'reason', reason, 'attempts', attempts,
    'action', action, 'message_id', remote_id, 'last_error', last_error, 'route', route,
    'settled_at', strftime('%Y-%m-%dT%H:%M:%fZ', settled_at, 'unixepoch')
)
FROM (
    SELECT d.*, m.remote_id, m.route, e.id AS event_id
    FROM deliveries AS d JOIN messages AS m ON m.id = d.message LEFT JOIN events AS e ON e.seq = d.event_seq
    WHERE d.settled_at IS NOT NULL AND (d.settled_at > :at OR (d.settled_at = :at AND d.id > :id))
    ORDER BY d.settled_at, d.id LIMIT :limit
);
