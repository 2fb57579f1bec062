-- name: find_duplicate
SELECT digest, event_ids FROM requests WHERE source = ? AND dedupe_key = ?;

-- name: insert_requests
INSERT INTO requests (id, source, received_at, payload, dedupe_key, digest, event_ids, first_seq, last_seq)
VALUES :rows(9);

-- name: insert_events
INSERT INTO events (seq, request, id, source, alert, received_at, event) VALUES :rows(7);

-- name: insert_refusals
INSERT INTO refusals (source, received_at, reason, detail, payload) VALUES :rows(5);

-- name: last_ids
SELECT
    (SELECT coalesce(max(id), 0) FROM requests),
    (SELECT max(coalesce(max(seq), 0), (SELECT value FROM meta WHERE name = 'planned_up_to')) FROM events),
    (SELECT coalesce(max(id), 0) FROM messages),
    (SELECT coalesce(max(id), 0) FROM deliveries);
