"""Opening a PostgreSQL database: its connection, its migrations, and the translation of its errors."""

from __future__ import annotations

import psycopg

from relay.ports import StoreCorruptError, StoreError, StoreNewerError, StoreUnavailableError
from relay.storage.named import migrations

PACKAGE = "relay.storage.postgres"
CONNECT_WITHIN = 5
"""Seconds that connecting to one host may take."""
MIGRATING = 0x6E6F6372
"""The advisory lock of migrations ("nocr")."""
_NOTE_VERSION = """
INSERT INTO meta (name, value) VALUES ('schema', %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


def translate(error: psycopg.Error) -> StoreError:
    """Return the `StoreError` that an error of PostgreSQL means for the relay."""
    said = " ".join(str(error).split())
    full = isinstance(error, psycopg.errors.DiskFull)
    return StoreUnavailableError(f"the PostgreSQL database can't be used: {said}", full=full)


def connect(address: str) -> psycopg.Connection:
    """Connect to a database; each statement is a transaction of its own until one begins. Raises a `StoreError`."""
    try:
        return psycopg.connect(address, autocommit=True, connect_timeout=CONNECT_WITHIN, application_name="relay")
    except psycopg.Error as error:
        raise translate(error) from error


def migrate(connection: psycopg.Connection) -> None:
    """Bring the schema to this version; others that start at the same time wait. Raises a `StoreError`."""
    try:
        _migrate(connection, migrations(PACKAGE))
    except psycopg.Error as error:
        raise translate(error) from error


def _migrate(connection: psycopg.Connection, scripts: list[str]) -> None:
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATING,))
        version = _version(connection)
        if version > len(scripts):
            raise StoreNewerError(
                f"the PostgreSQL database was written by a newer relay (schema {version}, "
                f"this one knows {len(scripts)}); start that version, or restore a copy from before the upgrade"
            )
        for script in scripts[version:]:
            connection.execute(script)
        if version < len(scripts):
            connection.execute(_NOTE_VERSION, (len(scripts),))


def _version(connection: psycopg.Connection) -> int:
    """Return the version of the schema, 0 if there is none yet. Raises `StoreCorruptError` for another program's."""
    found = connection.execute("SELECT to_regclass('meta'), to_regclass('events')").fetchone()
    if found is None or found == (None, None):
        return 0
    if None in found:
        raise StoreCorruptError("the PostgreSQL database has tables of another program; name another one in `storage`")
    row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    return 0 if row is None else int(row[0])
