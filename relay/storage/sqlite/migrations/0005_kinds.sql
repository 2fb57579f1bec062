-- What a message, a group and an incident are is said by columns, where parts of their names said it before.
-- A group's name was ROOM|LINEAGE, with a line of its labels as JSON behind it where it was a route's, or began with
-- `storm `; that of a note about a fallback was `diversion NUMBER`.

-- `about` is the diversion that a note tells of, `labels` are those that a group's alerts have in common, and `grp` is
-- the group or storm that a message tells of, NULL where it tells of one alert or event.
ALTER TABLE messages ADD COLUMN kind TEXT NOT NULL DEFAULT 'living'
    CHECK (kind IN ('living', 'notice', 'digest', 'note'));
ALTER TABLE messages ADD COLUMN lineage TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN labels TEXT;
ALTER TABLE messages ADD COLUMN about INTEGER CHECK (about IS NULL OR kind = 'note');
ALTER TABLE messages ADD COLUMN tells_of TEXT CHECK (tells_of IS NULL OR kind IN ('living', 'digest'));

UPDATE messages SET kind = CASE
    WHEN grp GLOB 'diversion *' THEN 'note'
    WHEN grp GLOB 'storm *' THEN 'digest'
    WHEN living = 1 THEN 'living'
    ELSE 'notice'
END;
UPDATE messages SET about = cast(substr(grp, length('diversion ') + 1) AS INTEGER) WHERE kind = 'note';
UPDATE messages SET tells_of = grp WHERE kind = 'digest' OR (kind = 'living' AND instr(grp, char(10)));
UPDATE messages SET
    lineage = substr(
        substr(grp, 1, instr(grp || char(10), char(10)) - 1),
        instr(grp, '|') + 1
    ),
    labels = iif(instr(grp, char(10)), nullif((
        SELECT json_group_object(value ->> 0, value ->> 1) FROM json_each(substr(grp, instr(grp, char(10)) + 1))
    ), '{}'), NULL)
WHERE kind IN ('living', 'notice') AND grp != '';

ALTER TABLE messages DROP COLUMN living;
ALTER TABLE messages DROP COLUMN grp;
ALTER TABLE messages RENAME COLUMN tells_of TO grp;

DROP VIEW messages_to_list;
ALTER TABLE groups ADD COLUMN kind TEXT NOT NULL DEFAULT 'route' CHECK (kind IN ('route', 'storm'));
UPDATE groups SET kind = 'storm' WHERE id GLOB 'storm *';
UPDATE groups SET state = json_set(state, '$.lineage', substr(
    substr(id, 1, instr(id || char(10), char(10)) - 1), instr(id, '|') + 1
)) WHERE kind = 'route';

-- Digests whose full list is yet to be made.
CREATE VIEW messages_to_list (message) AS
SELECT state ->> 'message' FROM groups WHERE wake_at IS NOT NULL AND ended_at IS NULL AND kind = 'storm'
UNION
SELECT message FROM deliveries WHERE action = 'file' AND settled_at IS NULL;

-- `changed`: a storm's digest must be told of it.
ALTER TABLE incidents ADD COLUMN changed INTEGER NOT NULL DEFAULT 0 CHECK (changed IN (0, 1));
UPDATE incidents SET changed = coalesce(
    incident ->> '$.fresh' OR incident ->> '$.news' != '[]' OR incident ->> '$.said.state' != incident ->> '$.state', 0
);
UPDATE incidents SET incident = json_set(incident, '$.storm', incident ->> '$.group', '$.lineage', '')
WHERE incident ->> '$.group' GLOB 'storm *';
UPDATE incidents SET incident = json_set(
    incident,
    '$.lineage', substr(
        substr(incident ->> '$.group', 1, instr((incident ->> '$.group') || char(10), char(10)) - 1),
        instr(incident ->> '$.group', '|') + 1
    ),
    '$.labels', iif(instr(incident ->> '$.group', char(10)), json((
        SELECT json_group_object(value ->> 0, value ->> 1)
        FROM json_each(substr(incident ->> '$.group', instr(incident ->> '$.group', char(10)) + 1))
    )), NULL)
) WHERE incident ->> '$.group' NOT GLOB 'storm *';
UPDATE incidents SET incident = json_remove(incident, '$.group');
