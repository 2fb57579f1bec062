-- Further reasons for which an event changes no message: a column's CHECK is replaced with the column.
ALTER TABLE events ADD COLUMN why TEXT CHECK (why IN (
    'silenced', 'inhibited', 'muted', 'downtime', 'repeat', 'brief', 'unrouted', 'acknowledged', 'echo'
));
UPDATE events SET why = suppressed WHERE suppressed IS NOT NULL;
ALTER TABLE events DROP COLUMN suppressed;
ALTER TABLE events RENAME COLUMN why TO suppressed;

-- The times of an incident by which something is due stand beside those that are shown.
UPDATE incidents SET incident = json_set(incident, '$.opened_at', started_at, '$.over_at', coalesce(ended_at, 0.0));
