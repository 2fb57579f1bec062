-- `repeat` had three meanings. An event now says which: `repeat`, `flapping` or `nothing_open`; `policy` if its route posts
-- no such change. The rows stay as they are, so the declaration is replaced in place, as
-- https://www.sqlite.org/lang_altertable.html#otheralter allows.
PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = replace(
    sql,
    'suppressed IS NULL OR suppressed = ''repeat'' OR suppressed = ''silenced''',
    'suppressed IS NULL OR suppressed = ''repeat'' OR suppressed = ''flapping'' OR suppressed = ''nothing_open''
        OR suppressed = ''policy'' OR suppressed = ''silenced'''
)
WHERE type = 'table' AND name = 'events';

-- RESET has this connection read the declarations anew.
PRAGMA writable_schema = RESET;
