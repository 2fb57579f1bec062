-- name: note_time
INSERT INTO meta (name, value) VALUES ('noted_at', :now), ('noted_wall', :wall)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- Return the latest recorded moment of the relay's own clock, since no past event can lie ahead of it. Return also
-- the times of the own clock and of the machine's clock as they were last recorded.
-- name: latest
SELECT max(
    coalesce((SELECT created_at FROM deliveries ORDER BY id DESC LIMIT 1), 0.0),
    coalesce((SELECT max(settled_at) FROM deliveries WHERE settled_at IS NOT NULL), 0.0),
    coalesce((SELECT max(incident ->> '$.opened_at') FROM incidents WHERE ended_at IS NULL), 0.0)
), (SELECT value FROM meta WHERE name = 'noted_at'), (SELECT value FROM meta WHERE name = 'noted_wall');

-- name: shift_incidents
UPDATE incidents SET wake_at = wake_at + :by, incident = json_set(
    incident,
    '$.wake_at', wake_at + :by,
    '$.remind_at', (incident ->> '$.remind_at') + :by,
    '$.opened_at', (incident ->> '$.opened_at') + :by,
    '$.over_at', (incident ->> '$.over_at') + :by,
    '$.changes', (SELECT json_group_array(value + :by) FROM json_each(incident, '$.changes'))
)
WHERE ended_at IS NULL OR live = 1 OR incident ->> '$.over_at' > :recent;

-- name: shift_groups
UPDATE groups SET wake_at = wake_at + :by, ended_at = ended_at + :by, state = json_set(
    state,
    '$.wake_at', wake_at + :by,
    '$.ended_at', ended_at + :by,
    '$.flush_at', (state ->> '$.flush_at') + :by,
    '$.flushed_at', (state ->> '$.flushed_at') + :by,
    '$.remind_at', (state ->> '$.remind_at') + :by,
    '$.began_at', (state ->> '$.began_at') + :by,
    '$.seen_at', (state ->> '$.seen_at') + :by,
    '$.window_at', (state ->> '$.window_at') + :by
)
WHERE ended_at IS NULL OR ended_at > :recent;

-- name: shift_alerts
UPDATE alerts SET wake_at = wake_at + :by, alert = json_set(
    alert,
    '$.seen_at', (alert ->> '$.seen_at') + :by,
    '$.wake_at', wake_at + :by,
    '$.ends_at', (alert ->> '$.ends_at') + :by
)
WHERE state = 'firing';

-- name: shift_silences
UPDATE silences SET ends_at = ends_at + :by, silence = json_set(
    silence,
    '$.starts_at', (silence ->> '$.starts_at') + :by,
    '$.ends_at', ends_at + :by,
    '$.updated_at', (silence ->> '$.updated_at') + :by
);

-- name: shift_deliveries
UPDATE deliveries SET
    due_at = iif(settled_at IS NULL, due_at + :by, due_at),
    failed_at = failed_at + :by,
    failing_since = failing_since + :by,
    created_at = min(created_at, :now),
    settled_at = min(settled_at, :now)
WHERE settled_at IS NULL OR created_at > :now OR settled_at > :now;
