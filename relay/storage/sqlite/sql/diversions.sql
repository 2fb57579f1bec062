-- name: open_diversions
SELECT json_group_array(room) FROM diversions WHERE ended_at IS NULL;

-- name: diversion_of
SELECT v.id, d.state, v.fallback, d.event_seq
FROM diversions AS v LEFT JOIN deliveries AS d ON d.id = v.note
WHERE v.room = ? AND v.ended_at IS NULL;

-- name: divertible
SELECT d.id, d.message, d.action, d.event_seq, d.rank, d.position, m.remote_id IS NOT NULL, coalesce(m.origin, d.room)
FROM deliveries AS d JOIN messages AS m ON m.id = d.message
WHERE d.state = 'waiting' AND d.room = :room AND d.part = 0 AND m.kind != 'note'
  AND m.tells IS NULL AND NOT (d.aside AND d.attempts = 0 AND d.action = 'post')
  AND NOT EXISTS (SELECT 1 FROM deliveries AS l WHERE l.message = d.message AND l.state = 'leased')
  AND (m.remote_id IS NULL OR (
    m.kind IN ('living', 'digest') AND d.file IS NULL AND (d.action != 'edit' OR d.content IS NULL)
    AND EXISTS (SELECT 1 FROM incidents WHERE message = m.id)
  ))
ORDER BY d.position LIMIT :limit;

-- name: last_diversion
SELECT coalesce(max(id), 0) FROM diversions;

-- name: begin_diversion
INSERT INTO diversions (id, room, fallback, began_at, note) VALUES (:id, :room, :to, :now, :note);

-- name: renew_note
UPDATE diversions SET note = :note WHERE id = :id;

-- name: count_moved
UPDATE diversions SET moved = moved + :moved, fallback = :to WHERE id = :id;

-- name: end_diversion
UPDATE diversions SET ended_at = :now WHERE id = :id;

-- name: insert_note
INSERT INTO messages (id, room, kind, lineage, route, about) VALUES (:message, :room, 'note', '', 'diversion', :diversion);

-- name: insert_delivery
INSERT INTO deliveries (id, message, event_seq, room, action, state, rank, position, created_at, due_at)
VALUES (:id, :message, :seq, :room, :action, 'waiting', :rank, :position, :now, :due_at);

-- name: rehome
UPDATE messages SET room = :to, origin = coalesce(origin, :room) WHERE id = :message;

-- name: at_home
UPDATE messages SET origin = NULL WHERE room = :room AND origin = :room AND remote_id IS NULL;

-- name: copy_message
INSERT INTO messages (id, room, kind, lineage, grp, labels, route, template, origin)
SELECT :new, :to, kind, lineage, grp, labels, route, template, :origin FROM messages WHERE id = :message;

-- name: leave_behind
UPDATE messages SET diverted = :diversion, tells = :new WHERE id = :message;

-- name: follow
UPDATE messages SET tells = :new WHERE tells = :message;

-- name: move_incidents
UPDATE incidents SET message = :new, incident = json_set(incident, '$.message', :new, '$.at', iif(room = :to, '', :to))
WHERE message = :message;

-- name: move_groups
UPDATE groups SET state = json_set(state, '$.message', :new, '$.at', iif(state ->> 'room' = :to, '', :to))
WHERE state ->> 'message' = :message;

-- name: move_merged
UPDATE deliveries SET message = :new WHERE message = :message AND state = 'merged';

-- name: copy_delivery
INSERT INTO deliveries (
    id, message, event_seq, room, action, state, rank, position, created_at, due_at, content, says, file
)
SELECT :new, :message, event_seq, :to, action, 'waiting', rank, :position, created_at, :now, content, says, file
FROM deliveries WHERE id = :id;

-- name: settle_moved
UPDATE deliveries SET state = 'moved', successor = :new, settled_at = :now, aside = 0 WHERE id = :id
RETURNING room, rank, state;

-- name: left_behind
SELECT m.id, m.room, (SELECT max(seq) FROM incidents WHERE message = m.tells)
FROM messages AS m WHERE m.diverted = ? AND m.remote_id IS NOT NULL;
