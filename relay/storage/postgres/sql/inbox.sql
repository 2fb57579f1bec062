-- name: find_duplicate
SELECT digest, event_ids FROM request_keys WHERE source = %s AND key = %s;

-- name: insert_keys
INSERT INTO request_keys (source, key, digest, event_ids, received_at)
SELECT * FROM unnest(:rows(text, text, bytea, text, float8));

-- name: insert_events
INSERT INTO events (seq, id, source, alert, received_at, event, first_seq, last_seq, payload)
SELECT * FROM unnest(:rows(int8, text, text, text, float8, json, int8, int8, bytea));

-- name: insert_refusals
INSERT INTO refusals (source, received_at, reason, detail, payload)
SELECT * FROM unnest(:rows(text, float8, text, text, text));

-- name: set_state
INSERT INTO source_state (source, name, value) SELECT * FROM unnest(:rows(text, text, bytea))
ON CONFLICT (source, name) DO UPDATE SET value = excluded.value;

-- name: drop_state
DELETE FROM source_state WHERE source = %s AND name = %s;

-- name: state_of
SELECT name, value FROM source_state WHERE source = %s;

-- name: last_ids
SELECT
    greatest((SELECT max(seq) FROM events), (SELECT value FROM meta WHERE name = 'planned_up_to')),
    (SELECT coalesce(max(id), 0) FROM messages),
    (SELECT coalesce(max(id), 0) FROM deliveries),
    (SELECT coalesce(max(id), 0) FROM incidents);
