-- An incident says by `shown` what its message shows of it, and by `rang` the severity that rang phones last.
UPDATE incidents SET incident = json_remove(
    json_set(incident, '$.shown', json(incident -> '$.said')), '$.said'
);
UPDATE incidents SET incident = json_remove(
    json_set(incident, '$.shown.rang', incident ->> '$.shown.aloud'), '$.shown.aloud'
) WHERE incident ->> '$.shown' IS NOT NULL;
