-- name: open_diversions
SELECT coalesce(json_agg(room), '[]') FROM diversions WHERE ended_at IS NULL;

-- name: diversion_of
SELECT v.id, d.state, v.fallback, d.event_seq
FROM diversions AS v LEFT JOIN deliveries AS d ON d.id = v.note
WHERE v.room = %s AND v.ended_at IS NULL;

-- name: divertible
SELECT d.id, d.message, d.action, d.event_seq, d.rank, d.position, m.remote_id IS NOT NULL, coalesce(m.origin, d.room)
FROM deliveries AS d JOIN messages AS m ON m.id = d.message
WHERE d.state = 'waiting' AND d.room = %(room)s AND d.part = 0 AND m.kind != 'note'
  AND m.tells IS NULL AND NOT (d.aside = 1 AND d.attempts = 0 AND d.action = 'post')
  AND NOT EXISTS (SELECT 1 FROM deliveries AS l WHERE l.message = d.message AND l.state = 'leased')
  AND (m.remote_id IS NULL OR (
    m.kind IN ('living', 'digest') AND d.file IS NULL AND (d.action != 'edit' OR d.content IS NULL)
    AND EXISTS (SELECT 1 FROM incidents WHERE message = m.id)
  ))
ORDER BY d.position LIMIT %(limit)s;

-- name: last_diversion
SELECT coalesce(max(id), 0) FROM diversions;

-- name: begin_diversion
INSERT INTO diversions (id, room, fallback, began_at, note) VALUES (%(id)s, %(room)s, %(to)s, %(now)s, %(note)s);

-- name: renew_note
UPDATE diversions SET note = %(note)s WHERE id = %(id)s;

-- name: count_moved
UPDATE diversions SET moved = moved + %(moved)s, fallback = %(to)s WHERE id = %(id)s;

-- name: end_diversion
UPDATE diversions SET ended_at = %(now)s WHERE id = %(id)s;

-- name: insert_note
INSERT INTO messages (id, room, kind, lineage, route, about)
VALUES (%(message)s, %(room)s, 'note', '', 'diversion', %(diversion)s);

-- name: insert_delivery
INSERT INTO deliveries (id, message, event_seq, room, action, state, rank, position, created_at, due_at)
VALUES (%(id)s, %(message)s, %(seq)s, %(room)s, %(action)s, 'waiting', %(rank)s, %(position)s, %(now)s, %(due_at)s);

-- name: rehome
UPDATE messages SET room = %(to)s, origin = coalesce(origin, %(room)s) WHERE id = %(message)s;

-- name: at_home
UPDATE messages SET origin = NULL WHERE room = %(room)s AND origin = %(room)s AND remote_id IS NULL;

-- name: copy_message
INSERT INTO messages (id, room, kind, lineage, grp, labels, route, template, origin)
SELECT %(new)s, %(to)s, kind, lineage, grp, labels, route, template, %(origin)s FROM messages WHERE id = %(message)s;

-- name: leave_behind
UPDATE messages SET diverted = %(diversion)s, tells = %(new)s WHERE id = %(message)s;

-- name: follow
UPDATE messages SET tells = %(new)s WHERE tells = %(message)s;

-- name: move_incidents
UPDATE incidents SET message = %(new)s, incident = (incident::jsonb || jsonb_build_object(
    'message', %(new)s::int8, 'at', CASE WHEN room = %(to)s THEN '' ELSE %(to)s END
))::json
WHERE message = %(message)s;

-- name: move_groups
UPDATE groups SET state = (state::jsonb || jsonb_build_object(
    'message', %(new)s::int8, 'at', CASE WHEN state ->> 'room' = %(to)s THEN '' ELSE %(to)s END
))::json
WHERE (state ->> 'message')::int8 = %(message)s;

-- name: move_merged
UPDATE deliveries SET message = %(new)s WHERE message = %(message)s AND state = 'merged';

-- name: copy_delivery
INSERT INTO deliveries (
    id, message, event_seq, room, action, state, rank, position, created_at, due_at, content, says, file
)
SELECT %(new)s, %(message)s, event_seq, %(to)s, action, 'waiting', rank, %(position)s, created_at, %(now)s, content, says, file
FROM deliveries WHERE id = %(id)s;

-- name: settle_moved
UPDATE deliveries SET state = 'moved', successor = %(new)s, settled_at = %(now)s, aside = 0 WHERE id = %(id)s
RETURNING room, rank, state;

-- name: left_behind
SELECT m.id, m.room, (SELECT max(seq) FROM incidents WHERE message = m.tells)
FROM messages AS m WHERE m.diverted = %s AND m.remote_id IS NOT NULL;
