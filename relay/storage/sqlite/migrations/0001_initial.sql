-- Times are Unix seconds. `room`, `source`, `route` and `template` are names of the configuration, not rows.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES ('planned_up_to', 0);

-- Idempotency keys of requests, with the ids that were answered.
CREATE TABLE request_keys (
    source      TEXT NOT NULL,
    key         TEXT NOT NULL,
    digest      BLOB NOT NULL,
    event_ids   TEXT NOT NULL,
    received_at REAL NOT NULL,
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_keys_received ON request_keys (received_at);

-- The inbox and its history: `event` is the whole event as JSON, the columns what is searched by. `alert` is the key
-- of the alert it speaks of, NULL for a notice; `suppressed` says why it changed no message. The events of a request
-- follow one another, from first_seq to last_seq; its payload stands with the first. An event with seq over
-- meta.planned_up_to waits for the planner.
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    source      TEXT NOT NULL,
    alert       TEXT,
    received_at REAL NOT NULL,
    event       TEXT NOT NULL,
    first_seq   INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL,
    payload     BLOB,
    suppressed  TEXT CHECK (suppressed IN ('silenced', 'inhibited', 'muted', 'repeat', 'brief')),
    set_aside   TEXT,
    CHECK ((payload IS NOT NULL) = (seq = first_seq) AND seq BETWEEN first_seq AND last_seq)
) STRICT;

-- What could not be read: kept so that it can be looked at.
-- What a source's listener needs to go on where it was: written with the events that came of it.
CREATE TABLE source_state (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (source, name)
) WITHOUT ROWID;

CREATE TABLE refusals (
    id          INTEGER PRIMARY KEY,
    source      TEXT NOT NULL,
    received_at REAL NOT NULL,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    payload     TEXT NOT NULL
) STRICT;

-- The present state of one (source, key): `alert` is the whole of it as JSON, `state` is drawn from it.
CREATE TABLE alerts (
    source     TEXT NOT NULL,
    key        TEXT NOT NULL,
    alert      TEXT NOT NULL,
    updated_at REAL NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('firing', 'resolved', 'expired')),
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;

-- What stands in a room, or is about to. `space` is the service's id of the room that it stands in, `mention` a JSON
-- list of whom it rings; a `living` one tells of incidents, as they are. `origin` is the room that it was for, where it
-- stands in a fallback; a `diverted` one was left behind by a diversion, and `tells` of the incidents of a newer one.
CREATE TABLE messages (
    id        INTEGER PRIMARY KEY,
    room      TEXT NOT NULL,
    grp       TEXT NOT NULL,
    route     TEXT NOT NULL,
    template  TEXT,
    mention   TEXT,
    living    INTEGER NOT NULL CHECK (living IN (0, 1)),
    remote_id TEXT,
    space     TEXT,
    origin    TEXT,
    tells     INTEGER,
    diverted  INTEGER,
    edits     INTEGER NOT NULL DEFAULT 0 CHECK (edits BETWEEN 0 AND 10),
    state     TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'standing')),
    CHECK ((state = 'standing') = (remote_id IS NOT NULL))
) STRICT;

-- An alert's life in one room, from firing to its end: `incident` is the whole of it as JSON. `message` is 0 while none
-- tells of it, `seq` its last event's, `wake_at` when it wants to be looked at though no event comes. `grp` is its group,
-- NULL where it is a group of its own; `live` while its group must look at it.
CREATE TABLE incidents (
    id         INTEGER PRIMARY KEY,
    source     TEXT NOT NULL,
    key        TEXT NOT NULL,
    room       TEXT NOT NULL,
    grp        TEXT,
    message    INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    rank       INTEGER NOT NULL CHECK (rank BETWEEN 0 AND 4),
    live       INTEGER NOT NULL CHECK (live IN (0, 1)),
    incident   TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at   REAL,
    wake_at    REAL,
    CHECK (ended_at IS NOT NULL OR wake_at IS NOT NULL)
) STRICT;

CREATE UNIQUE INDEX incidents_open ON incidents (source, key, room) WHERE ended_at IS NULL;
CREATE INDEX incidents_key ON incidents (source, key);
CREATE INDEX incidents_message ON incidents (message);
CREATE INDEX incidents_seq ON incidents (seq);
CREATE INDEX incidents_group ON incidents (grp) WHERE live = 1 AND grp IS NOT NULL;
CREATE INDEX incidents_due ON incidents (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX incidents_ended ON incidents (ended_at) WHERE ended_at IS NOT NULL;

-- Incidents that are told of together: `state` is the whole group as JSON, `wake_at` when it wants to be looked at.
CREATE TABLE groups (
    id       TEXT PRIMARY KEY,
    state    TEXT NOT NULL,
    ended_at REAL,
    wake_at  REAL
) STRICT, WITHOUT ROWID;

CREATE INDEX groups_due ON groups (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX groups_message ON groups (state ->> 'message');

CREATE TABLE silences (
    id      TEXT PRIMARY KEY,
    silence TEXT NOT NULL,
    ends_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Intents on messages. `file` is the address of one that an event names. `position` is the lane's order, `part` the order of a long text's parts within it.
CREATE TABLE deliveries (
    id            INTEGER PRIMARY KEY,
    message       INTEGER NOT NULL REFERENCES messages (id),
    event_seq     INTEGER NOT NULL REFERENCES events (seq),
    room          TEXT NOT NULL,
    action        TEXT NOT NULL CHECK (action IN ('post', 'digest', 'edit', 'reply', 'file')),
    state         TEXT NOT NULL CHECK (
        state IN ('waiting', 'leased', 'done', 'dead', 'superseded', 'merged', 'moved', 'dropped')
    ),
    rank          INTEGER NOT NULL CHECK (rank BETWEEN 0 AND 4),
    position      INTEGER NOT NULL,
    part          INTEGER NOT NULL DEFAULT 0,
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    spent         REAL NOT NULL DEFAULT 0,
    failed_at     REAL,
    failing_since REAL,
    created_at    REAL NOT NULL,
    due_at        REAL NOT NULL,
    aside         INTEGER NOT NULL DEFAULT 0 CHECK (aside IN (0, 1)),
    reason        TEXT,
    last_error    TEXT,
    content       TEXT,
    file          TEXT,
    settled_at    REAL,
    successor     INTEGER,
    CHECK ((state IN ('waiting', 'leased')) = (settled_at IS NULL)),
    CHECK (content IS NULL OR action NOT IN ('post', 'digest')),
    CHECK (file IS NULL OR action = 'file'),
    CHECK ((state IN ('superseded', 'merged', 'moved')) = (successor IS NOT NULL)),
    CHECK (state != 'dead' OR reason IS NOT NULL)
) STRICT;

CREATE INDEX deliveries_waiting ON deliveries (room, position, part) WHERE state = 'waiting';
CREATE INDEX deliveries_leased ON deliveries (id) WHERE state = 'leased';
CREATE INDEX deliveries_dead ON deliveries (room) WHERE state = 'dead';
CREATE INDEX deliveries_files ON deliveries (message) WHERE action = 'file' AND settled_at IS NULL;
CREATE INDEX deliveries_settled ON deliveries (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX deliveries_message ON deliveries (message);
CREATE INDEX deliveries_event ON deliveries (event_seq);

CREATE INDEX messages_tells ON messages (tells) WHERE tells IS NOT NULL;

-- What was for a room goes to its fallback until `note`, a delivery, gets through to the room itself.
CREATE TABLE diversions (
    id       INTEGER PRIMARY KEY,
    room     TEXT NOT NULL,
    fallback TEXT NOT NULL,
    began_at REAL NOT NULL,
    ended_at REAL,
    note     INTEGER NOT NULL,
    moved    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX diversions_open ON diversions (room) WHERE ended_at IS NULL;

-- Digests whose full list is yet to be made.
CREATE VIEW messages_to_list (message) AS
SELECT state ->> 'message' FROM groups WHERE wake_at IS NOT NULL AND ended_at IS NULL AND id GLOB 'storm *'
UNION
SELECT message FROM deliveries WHERE action = 'file' AND settled_at IS NULL;
