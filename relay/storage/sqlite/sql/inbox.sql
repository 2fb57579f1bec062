-- name: find_duplicate
SELECT digest, event_ids FROM request_keys WHERE source = ? AND key = ?;

-- name: insert_keys
INSERT INTO request_keys (source, key, digest, event_ids, received_at) VALUES :rows(5);

-- name: insert_events
INSERT INTO events (seq, id, source, alert, received_at, event, first_seq, last_seq, payload) VALUES :rows(9);

-- name: insert_refusals
INSERT INTO refusals (source, received_at, reason, detail, payload) VALUES :rows(5);

-- name: set_state
INSERT OR REPLACE INTO source_state (source, name, value) VALUES :rows(3);

-- name: drop_state
DELETE FROM source_state WHERE source = ? AND name = ?;

-- name: state_of
SELECT name, value FROM source_state WHERE source = ?;

-- name: last_ids
SELECT
    (SELECT max(coalesce(max(seq), 0), (SELECT value FROM meta WHERE name = 'planned_up_to')) FROM events),
    (SELECT coalesce(max(id), 0) FROM messages),
    (SELECT coalesce(max(id), 0) FROM deliveries),
    (SELECT coalesce(max(id), 0) FROM incidents);
