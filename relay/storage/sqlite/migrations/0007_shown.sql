-- An incident says by `shown` what its message shows of it, and by `rang` the severity that rang phones last.
UPDATE incidents SET incident = json_remove(
    json_set(incident, '$.shown', json(incident -> '$.said')), '$.said'
);
UPDATE incidents SET incident = json_remove(
    json_set(incident, '$.shown.rang', incident ->> '$.shown.aloud'), '$.shown.aloud'
) WHERE incident ->> '$.shown' IS NOT NULL;

-- `over`: it has ended and flaps no more, and its message counts it as ended.
ALTER TABLE incidents ADD COLUMN over INTEGER NOT NULL DEFAULT 0 CHECK (over = 0 OR over = 1);
UPDATE incidents SET over = (ended_at IS NOT NULL AND NOT coalesce(incident ->> '$.quiet', 0));
UPDATE incidents SET live = 1 WHERE over = 0;
CREATE INDEX incidents_not_over ON incidents (rank) WHERE over = 0;

-- What a reply says, so that it is said anew when it is sent.
ALTER TABLE deliveries ADD COLUMN says TEXT;
