-- name: heads
SELECT json_group_array(json_object(
    'lane', lanes.value ->> 1, 'due_at', d.due_at, 'position', d.position, 'part', d.part,
    'lease', json_object(
        'id', d.id, 'room', d.room, 'action', d.action, 'rank', d.rank, 'message', d.message, 'kind', m.kind, 'lineage', m.lineage,
        'template', m.template, 'attempts', d.attempts + 1, 'spent', d.spent, 'created_at', d.created_at,
        'due_at', d.due_at, 'failed_at', d.failed_at, 'failing_since', d.failing_since,
        'content', d.content, 'says', json(d.says), 'file', d.file, 'origin', m.origin,
        'elsewhere', iif(m.tells IS NULL, NULL, (SELECT room FROM messages WHERE id = m.tells)), 
        'remote', m.remote_id, 'space', m.space, 'mention', json(coalesce(m.mention, '[]')),
        'event', json(e.event), 'summary', iif(m.kind IN ('living', 'digest'), json((
            SELECT iif(count(*) = 0, NULL, json_object(
                'incidents', json_group_array(json(incident)), 'firing', firing, 'ended', ended, 'started_at', started,
                'ended_at', ended_at
            ))
            FROM (
                SELECT
                    incident, count(*) FILTER (WHERE over = 0) OVER () AS firing,
                    count(*) FILTER (WHERE over = 1) OVER () AS ended, min(started_at) OVER () AS started,
                    max(ended_at) OVER () AS ended_at
                FROM incidents AS i
                WHERE message = coalesce(m.tells, m.id) AND NOT EXISTS (
                    SELECT 1 FROM incidents AS newer
                    WHERE newer.source = i.source AND newer.key = i.key AND newer.id > i.id AND newer.message = i.message
                ) -- an alert is shown once, by its last life
                ORDER BY over, rank, id LIMIT :named
            )
        )), NULL)
    ),
    'edits', m.edits, 'labels', json(m.labels),
    'newer', iif(m.tells IS NULL, NULL, (SELECT kind FROM messages WHERE id = m.tells))
))
FROM json_each(:lanes) AS lanes
CROSS JOIN deliveries AS d ON d.id = (
    SELECT id FROM deliveries
    WHERE state = 'waiting' AND room = lanes.value ->> 0 AND (aside = 0 OR due_at <= :now)
    ORDER BY position, part LIMIT 1
)
CROSS JOIN messages AS m ON m.id = d.message
CROSS JOIN events AS e ON e.seq = d.event_seq;

-- name: next_aside
SELECT json_group_array(json_array(lane, due_at)) FROM (
    SELECT lanes.value ->> 1 AS lane, min(d.due_at) AS due_at
    FROM json_each(:lanes) AS lanes
    CROSS JOIN deliveries AS d ON d.room = lanes.value ->> 0 AND d.state = 'waiting' AND d.aside = 1 AND d.due_at > :now
    GROUP BY 1
);

-- name: put_off
SELECT json_group_array(json_array(d.id, d.message, d.due_at, d.failed_at, iif(rooms.value ->> 1, 0, d.brought_forward)))
FROM json_each(:rooms) AS rooms
CROSS JOIN deliveries AS d ON d.room = rooms.value ->> 0 AND d.state = 'waiting'
    AND (d.aside = 1 OR d.failed_at IS NOT NULL)
WHERE d.due_at > :now AND NOT (d.failed_at IS NULL AND d.action = 'post');

-- name: bring_forward
UPDATE deliveries SET due_at = v.column2, brought_forward = v.column3
FROM (VALUES :rows(3)) AS v
WHERE deliveries.id = v.column1 AND deliveries.state = 'waiting';

-- name: lease
UPDATE deliveries SET
    state = 'leased', attempts = attempts + 1, action = v.column2,
    content = iif(v.column2 = 'post', NULL, content), says = iif(v.column2 = 'post', NULL, says)
FROM (VALUES :rows(2)) AS v
WHERE deliveries.id = v.column1 AND deliveries.state = 'waiting';

-- name: drop
UPDATE deliveries SET state = 'dropped', settled_at = ?, aside = 0 WHERE id = ? AND state = 'waiting';

-- name: incidents_of
SELECT json_group_array(json(i.incident))
FROM json_each(:alerts) AS wanted
JOIN incidents AS i ON i.source = wanted.value ->> 0 AND i.key = wanted.value ->> 1
WHERE i.message = :message AND NOT EXISTS (
    SELECT 1 FROM incidents AS newer
    WHERE newer.source = i.source AND newer.key = i.key AND newer.id > i.id AND newer.message = i.message
);

-- name: unnamed
SELECT json_group_array(json(incident)) FROM (
    SELECT incident FROM incidents AS i
    WHERE message = (SELECT coalesce(tells, id) FROM messages WHERE id = :message) AND NOT EXISTS (
        SELECT 1 FROM incidents AS newer
        WHERE newer.source = i.source AND newer.key = i.key AND newer.id > i.id AND newer.message = i.message
    )
    ORDER BY over, rank, id LIMIT :most OFFSET :named
);

-- name: outdate
UPDATE deliveries SET state = iif(newer.id > deliveries.id, 'superseded', 'dropped'), settled_at = :now, aside = 0,
    successor = iif(newer.id > deliveries.id, newer.id, NULL)
FROM (SELECT max(id) AS id FROM deliveries WHERE message = :message) AS newer
WHERE deliveries.id = :id AND state = 'waiting'
RETURNING room, rank, state;

-- name: take_over
UPDATE deliveries SET state = 'superseded', successor = :id, settled_at = :now, aside = 0
WHERE message = :message AND state = 'waiting' AND part = 0 AND id > :id AND (content IS NULL OR action != 'edit')
  AND (action = 'edit' OR (:action = 'post' AND action = 'reply'))
RETURNING room, rank, state;

-- name: count_edit
UPDATE messages SET edits = edits + 1 WHERE id = ? AND edits < ?;

-- name: uncount_edit
UPDATE messages SET edits = max(0, edits - 1) WHERE id = :message;

-- name: seal_message
UPDATE messages SET edits = :most WHERE id = :message;

-- name: forget_message
UPDATE messages SET remote_id = NULL, state = 'pending', edits = 0 WHERE id = :message;

-- name: settle
UPDATE deliveries SET
    state = v.column2, attempts = v.column3, spent = v.column4, due_at = v.column5, aside = v.column6,
    reason = v.column7, last_error = v.column8, settled_at = v.column9, failing_since = v.column10,
    failed_at = v.column11, brought_forward = iif(v.column6, brought_forward, 0)
FROM (VALUES :rows(11)) AS v
WHERE deliveries.id = v.column1 AND deliveries.state = 'leased';

-- name: settle_messages
UPDATE messages SET remote_id = v.column2, space = v.column3, state = 'standing'
FROM (VALUES :rows(3)) AS v
WHERE messages.id = v.column1 AND messages.remote_id IS NULL;

-- name: add_part
INSERT INTO deliveries (
    id, message, event_seq, room, action, state, rank, position, part, created_at, due_at, content
)
SELECT ?, message, event_seq, room, 'reply', 'waiting', rank, position, ?, created_at, ?, ?
FROM deliveries WHERE id = ?;

-- name: add_file
INSERT INTO deliveries (
    id, message, event_seq, room, action, state, rank, position, created_at, due_at, file
)
SELECT :id, message, event_seq, room, 'file', 'waiting', rank, :id, created_at, :now, :file
FROM deliveries WHERE id = :delivery;

-- name: attached
SELECT json_group_array(file) FROM deliveries WHERE message = ? AND file IS NOT NULL;

-- name: hold_message
UPDATE deliveries SET aside = :aside, due_at = iif(:aside, max(due_at, :due_at), min(due_at, :due_at))
WHERE message = :message AND state = 'waiting';

-- name: free_message
UPDATE deliveries SET aside = 0, due_at = min(due_at, :now) WHERE message = :message AND state = 'waiting' AND aside = 1;

-- name: unset_aside
UPDATE deliveries SET aside = 0, due_at = iif(failed_at IS NULL, min(due_at, :now), due_at)
WHERE state = 'waiting' AND message = (SELECT message FROM deliveries WHERE id = :id);

-- name: recover
UPDATE deliveries SET state = 'waiting', attempts = max(0, attempts - 1) WHERE state = 'leased' RETURNING room;

-- name: wake_groups
UPDATE groups SET wake_at = :now
WHERE wake_at IS NULL AND (
    id IN (SELECT grp FROM incidents WHERE live = 1 AND grp IS NOT NULL)
    OR (ended_at IS NULL AND kind = 'storm')
);

-- name: wake_ended
UPDATE incidents SET wake_at = :now, incident = json_set(incident, '$.wake_at', :now)
WHERE wake_at IS NULL AND ended_at IS NOT NULL AND live = 1 AND grp IS NULL AND id = (
    SELECT max(id) FROM incidents AS i
    WHERE i.source = incidents.source AND i.key = incidents.key AND i.room = incidents.room
);

-- name: not_later_than
UPDATE deliveries SET due_at = :latest WHERE state = 'waiting' AND due_at > :latest;

-- name: bury_homeless
UPDATE deliveries SET
    state = 'dead', settled_at = :now, aside = 0, reason = 'unknown_room',
    last_error = 'no room ' || room || ' is configured any more'
WHERE state = 'waiting' AND room NOT IN (SELECT value FROM json_each(:rooms))
RETURNING room;

-- name: depths
SELECT json_group_array(json_array(room, rank, n)) FROM (
    SELECT room, rank, count(*) AS n FROM deliveries WHERE state = 'waiting' GROUP BY room, rank
);

-- name: waiting_counts
SELECT json_group_array(json_array(room, n)) FROM (
    SELECT room, count(*) AS n FROM deliveries WHERE state = 'waiting' GROUP BY room
);

-- name: set_aside
SELECT json_group_array(json_array(room, rank, n, due_at)) FROM (
    SELECT room, rank, count(*) AS n, min(due_at) AS due_at FROM deliveries
    WHERE state = 'waiting' AND aside = 1 AND NOT (failed_at IS NULL AND action = 'post')
    GROUP BY room, rank
);

-- name: deaths
SELECT json_group_array(json_array(room, dead, untold, reason, last_error, title)) FROM (
    SELECT counted.room, dead, coalesce(untold, 0) AS untold, d.reason, d.last_error, e.event ->> 'title' AS title
    FROM (SELECT room, count(*) AS dead FROM deliveries WHERE state = 'dead' GROUP BY room) AS counted
    LEFT JOIN (
        SELECT m.room, count(*) AS untold FROM incidents AS i JOIN messages AS m ON m.id = i.message
        WHERE i.over = 0 AND i.source != :operator AND m.state = 'pending'
          AND EXISTS (SELECT 1 FROM deliveries WHERE message = m.id AND state = 'dead')
        GROUP BY m.room
    ) AS pending ON pending.room = counted.room
    LEFT JOIN deliveries AS d ON d.id = (
        SELECT last.id FROM deliveries AS last JOIN events AS its ON its.seq = last.event_seq
        WHERE last.state = 'dead' AND last.room = counted.room AND its.source != :operator
        ORDER BY last.id DESC LIMIT 1
    )
    LEFT JOIN events AS e ON e.seq = d.event_seq
);

-- name: dead_counts
SELECT json_group_array(json_array(room, n)) FROM (
    SELECT room, count(*) AS n FROM deliveries WHERE state = 'dead' GROUP BY room
);

-- name: oldest_waiting
SELECT json_group_array(json_array(room, oldest)) FROM (
    SELECT value AS room, (
        SELECT created_at FROM deliveries WHERE room = value AND state = 'waiting' ORDER BY position, part LIMIT 1
    ) AS oldest
    FROM json_each(?)
) WHERE oldest IS NOT NULL;

-- name: digest_counts
SELECT json_group_array(json_array(rank, source, n)) FROM (
    SELECT rank, source, count(*) AS n FROM incidents WHERE message = :message GROUP BY rank, source
    UNION ALL
    SELECT d.rank, e.source, count(*) FROM deliveries AS d JOIN events AS e ON e.seq = d.event_seq
    WHERE d.message = :message AND d.state = 'merged' AND d.action = 'post' AND e.alert IS NULL
      AND e.event ->> 'acknowledged_by' IS NULL GROUP BY d.rank, e.source
);

-- name: digest_lines
SELECT json_group_array(json_array(rank, state, json_set(
    event, '$.body', '', '$.labels', iif(:labels, json(event -> 'labels'), json('{}')), '$.links', json('[]'), '$.files', json('[]'), '$.notes', json('[]')
), started)) FROM (
    SELECT rank, iif(over, incident ->> 'state', 'firing') AS state, incident -> 'event' AS event, started_at AS started, id
    FROM incidents WHERE message = :message
    UNION ALL
    SELECT d.rank, 'notice', e.event, e.received_at, d.id FROM deliveries AS d JOIN events AS e ON e.seq = d.event_seq
    WHERE d.message = :message AND d.state = 'merged' AND d.action = 'post' AND e.alert IS NULL
      AND e.event ->> 'acknowledged_by' IS NULL
    ORDER BY rank, started, id LIMIT :limit
);

-- name: storm_of
SELECT g.state FROM messages AS m JOIN groups AS g ON g.id = m.grp AND g.kind = 'storm' WHERE m.id = ?;

-- name: note_of
SELECT json_object('room', v.room, 'to', v.fallback, 'began_at', v.began_at, 'moved', v.moved)
FROM messages AS m JOIN diversions AS v ON v.id = m.about WHERE m.id = ?;
