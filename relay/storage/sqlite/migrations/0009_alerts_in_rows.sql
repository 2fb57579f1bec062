-- An alert is about 1,000 bytes long: what its sender's annotations say is in it. In a table WITHOUT ROWID such rows are
-- what SQLite advises against (https://www.sqlite.org/withoutrowid.html): one of more than 1,002 bytes takes an overflow
-- page of 4,096 for what is over, and each insert lands in the middle of a page. In a table of rows a page holds several.
ALTER TABLE alerts RENAME TO alerts_by_key;

CREATE TABLE alerts (
    source     TEXT NOT NULL,
    key        TEXT NOT NULL,
    alert      TEXT NOT NULL,
    updated_at REAL NOT NULL,
    state      TEXT NOT NULL CHECK (state = 'firing' OR state = 'resolved' OR state = 'expired'),
    wake_at    REAL,
    UNIQUE (source, key)
) STRICT;

INSERT INTO alerts (source, key, alert, updated_at, state, wake_at)
SELECT source, key, alert, updated_at, state, wake_at FROM alerts_by_key;

DROP TABLE alerts_by_key;

CREATE INDEX alerts_due ON alerts (wake_at) WHERE wake_at IS NOT NULL;
