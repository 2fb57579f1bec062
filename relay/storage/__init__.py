"""The durable store: an inbox, an outbox and what lies between, in SQLite."""
