-- The tables are those of SQLite (`sqlite/migrations`), which say what each column means. Times are Unix seconds.

-- A time as the API writes it.
CREATE FUNCTION iso(at double precision) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_char(to_timestamp(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- The text of a payload, whatever its bytes are: what is not UTF-8 is shown with escapes.
CREATE FUNCTION as_text(payload bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN convert_from(payload, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN encode(payload, 'escape');
END $$;

CREATE TABLE meta (
    name  text PRIMARY KEY,
    value bigint NOT NULL
);

INSERT INTO meta (name, value) VALUES ('planned_up_to', 0);

CREATE TABLE request_keys (
    source      text NOT NULL,
    key         text NOT NULL,
    digest      bytea NOT NULL,
    event_ids   text NOT NULL,
    received_at double precision NOT NULL,
    PRIMARY KEY (source, key)
);

CREATE INDEX request_keys_received ON request_keys (received_at);

CREATE TABLE events (
    seq         bigint PRIMARY KEY,
    id          text NOT NULL UNIQUE,
    source      text NOT NULL,
    alert       text,
    received_at double precision NOT NULL,
    event       json NOT NULL,
    first_seq   bigint NOT NULL,
    last_seq    bigint NOT NULL,
    payload     bytea,
    suppressed  text CHECK (suppressed IN (
        'repeat', 'flapping', 'nothing_open', 'policy', 'silenced', 'inhibited', 'muted', 'downtime', 'brief', 'unrouted',
        'acknowledged', 'echo'
    )),
    set_aside   text,
    CHECK ((payload IS NOT NULL) = (seq = first_seq) AND seq BETWEEN first_seq AND last_seq)
);

CREATE INDEX events_set_aside ON events (seq) WHERE set_aside IS NOT NULL;
CREATE INDEX events_suppressed ON events (seq) WHERE suppressed IS NOT NULL;

CREATE TABLE source_state (
    source text NOT NULL,
    name   text NOT NULL,
    value  bytea NOT NULL,
    PRIMARY KEY (source, name)
);

CREATE TABLE refusals (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text NOT NULL,
    received_at double precision NOT NULL,
    reason      text NOT NULL,
    detail      text NOT NULL,
    payload     text NOT NULL
);

CREATE TABLE alerts (
    source     text NOT NULL,
    key        text NOT NULL,
    alert      json NOT NULL,
    updated_at double precision NOT NULL,
    state      text NOT NULL CHECK (state IN ('firing', 'resolved', 'expired')),
    wake_at    double precision,
    PRIMARY KEY (source, key)
);

CREATE INDEX alerts_due ON alerts (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE messages (
    id        bigint PRIMARY KEY,
    room      text NOT NULL,
    kind      text NOT NULL CHECK (kind IN ('living', 'notice', 'digest', 'note')),
    lineage   text NOT NULL DEFAULT '',
    grp       text CHECK (grp IS NULL OR kind IN ('living', 'digest')),
    labels    json,
    route     text NOT NULL,
    template  text,
    mention   json,
    remote_id text,
    space     text,
    origin    text,
    tells     bigint,
    diverted  bigint,
    about     bigint CHECK (about IS NULL OR kind = 'note'),
    edits     bigint NOT NULL DEFAULT 0 CHECK (edits BETWEEN 0 AND 10),
    state     text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'standing')),
    CHECK ((state = 'standing') = (remote_id IS NOT NULL))
);

CREATE INDEX messages_tells ON messages (tells) WHERE tells IS NOT NULL;

CREATE TABLE incidents (
    id         bigint PRIMARY KEY,
    source     text NOT NULL,
    key        text NOT NULL,
    room       text NOT NULL,
    grp        text,
    message    bigint NOT NULL,
    seq        bigint NOT NULL,
    rank       bigint NOT NULL CHECK (rank BETWEEN 0 AND 4),
    live       bigint NOT NULL CHECK (live IN (0, 1)),
    over       bigint NOT NULL CHECK (over IN (0, 1)),
    changed    bigint NOT NULL CHECK (changed IN (0, 1)),
    incident   json NOT NULL,
    started_at double precision NOT NULL,
    ended_at   double precision,
    wake_at    double precision,
    CHECK (ended_at IS NOT NULL OR wake_at IS NOT NULL)
);

CREATE UNIQUE INDEX incidents_open ON incidents (source, key, room) WHERE ended_at IS NULL;
CREATE INDEX incidents_key ON incidents (source, key);
CREATE INDEX incidents_message ON incidents (message);
CREATE INDEX incidents_seq ON incidents (seq);
CREATE INDEX incidents_group ON incidents (grp) WHERE live = 1 AND grp IS NOT NULL;
CREATE INDEX incidents_due ON incidents (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX incidents_ended ON incidents (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX incidents_not_over ON incidents (rank) WHERE over = 0;

CREATE TABLE groups (
    id       text PRIMARY KEY,
    kind     text NOT NULL CHECK (kind IN ('route', 'storm')),
    state    json NOT NULL,
    ended_at double precision,
    wake_at  double precision
);

CREATE INDEX groups_due ON groups (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX groups_message ON groups (((state ->> 'message')::bigint));

CREATE TABLE silences (
    id      text PRIMARY KEY,
    silence json NOT NULL,
    ends_at double precision NOT NULL
);

CREATE TABLE deliveries (
    id              bigint PRIMARY KEY,
    message         bigint NOT NULL,
    event_seq       bigint NOT NULL,
    room            text NOT NULL,
    action          text NOT NULL CHECK (action IN ('post', 'edit', 'reply', 'digest', 'file')),
    state           text NOT NULL CHECK (
        state IN ('waiting', 'leased', 'done', 'superseded', 'merged', 'moved', 'dead', 'dropped')
    ),
    rank            bigint NOT NULL CHECK (rank BETWEEN 0 AND 4),
    position        bigint NOT NULL,
    part            bigint NOT NULL DEFAULT 0,
    attempts        bigint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    spent           double precision NOT NULL DEFAULT 0,
    failed_at       double precision,
    failing_since   double precision,
    created_at      double precision NOT NULL,
    due_at          double precision NOT NULL,
    aside           bigint NOT NULL DEFAULT 0 CHECK (aside IN (0, 1)),
    brought_forward bigint NOT NULL DEFAULT 0,
    reason          text,
    last_error      text,
    content         text,
    says            jsonb,
    file            text,
    settled_at      double precision,
    successor       bigint,
    CHECK ((state IN ('waiting', 'leased')) = (settled_at IS NULL)),
    CHECK (content IS NULL OR action NOT IN ('post', 'digest')),
    CHECK (file IS NULL OR action = 'file'),
    CHECK ((state IN ('superseded', 'merged', 'moved')) = (successor IS NOT NULL)),
    CHECK (state != 'dead' OR reason IS NOT NULL)
);

CREATE INDEX deliveries_waiting ON deliveries (room, position, part) WHERE state = 'waiting';
CREATE INDEX deliveries_put_off ON deliveries (room) WHERE state = 'waiting' AND (aside = 1 OR failed_at IS NOT NULL);
CREATE INDEX deliveries_leased ON deliveries (id) WHERE state = 'leased';
CREATE INDEX deliveries_dead ON deliveries (room) WHERE state = 'dead';
CREATE INDEX deliveries_files ON deliveries (message) WHERE action = 'file' AND settled_at IS NULL;
CREATE INDEX deliveries_settled ON deliveries (settled_at, state) WHERE settled_at IS NOT NULL;
CREATE INDEX deliveries_message ON deliveries (message);
CREATE INDEX deliveries_event ON deliveries (event_seq);

CREATE TABLE diversions (
    id       bigint PRIMARY KEY,
    room     text NOT NULL,
    fallback text NOT NULL,
    began_at double precision NOT NULL,
    ended_at double precision,
    note     bigint NOT NULL,
    moved    bigint NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX diversions_open ON diversions (room) WHERE ended_at IS NULL;

-- Digests whose full list is yet to be made.
CREATE VIEW messages_to_list (message) AS
SELECT (state ->> 'message')::bigint FROM groups WHERE wake_at IS NOT NULL AND ended_at IS NULL AND kind = 'storm'
UNION
SELECT message FROM deliveries WHERE action = 'file' AND settled_at IS NULL;
