-- When an alert that no room knows of is to be looked at: it has no incident that would wake it.
ALTER TABLE alerts ADD COLUMN wake_at REAL;

CREATE INDEX alerts_due ON alerts (wake_at) WHERE wake_at IS NOT NULL;

-- What is open was told aloud as it stands.
UPDATE incidents SET incident = json_set(incident, '$.said.aloud', incident ->> '$.said.severity')
WHERE incident ->> '$.said.state' = 'firing';
