-- SQLite makes a table in memory, for each row that it checks, of an IN list with three values or more: EXPLAIN shows an
-- OpenEphemeral and an IdxInsert for each value. Comparisons mean the same and need none of it. The rows stay as they
-- are, so the declarations are replaced in place, as https://www.sqlite.org/lang_altertable.html#otheralter allows.
PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = replace(
    sql,
    'CHECK (suppressed IN (
    ''silenced'', ''inhibited'', ''muted'', ''downtime'', ''repeat'', ''brief'', ''unrouted'', ''acknowledged'', ''echo''
))',
    'CHECK (
        suppressed IS NULL OR suppressed = ''repeat'' OR suppressed = ''silenced'' OR suppressed = ''inhibited''
        OR suppressed = ''muted'' OR suppressed = ''downtime'' OR suppressed = ''brief'' OR suppressed = ''unrouted''
        OR suppressed = ''acknowledged'' OR suppressed = ''echo''
    )'
)
WHERE type = 'table' AND name = 'events';

UPDATE sqlite_schema SET sql = replace(
    sql,
    'CHECK (state IN (''firing'', ''resolved'', ''expired''))',
    'CHECK (state = ''firing'' OR state = ''resolved'' OR state = ''expired'')'
)
WHERE type = 'table' AND name = 'alerts';

UPDATE sqlite_schema SET sql = replace(
    sql,
    'CHECK (kind IN (''living'', ''notice'', ''digest'', ''note''))',
    'CHECK (kind = ''living'' OR kind = ''notice'' OR kind = ''digest'' OR kind = ''note'')'
)
WHERE type = 'table' AND name = 'messages';

UPDATE sqlite_schema SET sql = replace(
    replace(
        replace(
            sql,
            'CHECK (action IN (''post'', ''digest'', ''edit'', ''reply'', ''file''))',
            'CHECK (
        action = ''post'' OR action = ''edit'' OR action = ''reply'' OR action = ''digest'' OR action = ''file''
    )'
        ),
        'CHECK (
        state IN (''waiting'', ''leased'', ''done'', ''dead'', ''superseded'', ''merged'', ''moved'', ''dropped'')
    )',
        'CHECK (
        state = ''waiting'' OR state = ''leased'' OR state = ''done'' OR state = ''superseded'' OR state = ''merged''
        OR state = ''moved'' OR state = ''dead'' OR state = ''dropped''
    )'
    ),
    'CHECK ((state IN (''superseded'', ''merged'', ''moved'')) = (successor IS NOT NULL))',
    'CHECK ((state = ''superseded'' OR state = ''merged'' OR state = ''moved'') = (successor IS NOT NULL))'
)
WHERE type = 'table' AND name = 'deliveries';

-- RESET has this connection read the declarations anew.
PRAGMA writable_schema = RESET;
