-- What is counted is counted within an index: a table's rows hold payloads and texts, and are far longer.
CREATE INDEX events_set_aside ON events (seq) WHERE set_aside IS NOT NULL;
CREATE INDEX events_suppressed ON events (seq) WHERE suppressed IS NOT NULL;

DROP INDEX deliveries_settled;
CREATE INDEX deliveries_settled ON deliveries (settled_at, state) WHERE settled_at IS NOT NULL;
