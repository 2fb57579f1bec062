"""Opening a database file: its lock, its settings, its migrations, and the translation of its errors."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

import tenacity

from relay.ports import (
    StoreCorruptError,
    StoreError,
    StoreImpossibleError,
    StoreInUseError,
    StoreNewerError,
    StoreUnavailableError,
)
from relay.storage import named

APPLICATION_ID = 0x6E6F6372
"""The mark of our files in SQLite's header ("nocr")."""
MIN_SQLITE = (3, 38, 0)
RESERVE_BYTES = 16 * 2**20
"""Bytes held in reserve. On a full disk they are freed, so that the relay can still record sends and prune rows."""
LOCK_PATIENCE = 1.0
"""Seconds that a start waits for a lock that another process holds."""
_PRAGMAS = (
    "auto_vacuum = INCREMENTAL",  # so that a full disk gets back what was pruned
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "temp_store = MEMORY",
    "cache_size = -8192",
    "journal_size_limit = 67108864",
)
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

# sqlite3 looks for an adapter of each None and each bytes that it binds. Two failing lookups take half the time of a
# message's row. These adapters return the value itself, so the first lookup succeeds; both are functions in C.
_nothing: dict[None, None] = {}
sqlite3.register_adapter(type(None), _nothing.get)
sqlite3.register_adapter(bytes, bytes)


def translate(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the `StoreError` that an error of SQLite means for the relay."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _CORRUPT:
        return StoreCorruptError(f"{path} is damaged or not a database ({error}); restore a copy or move it away")
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailableError(
            f"{path}: no room left on the disk, or the size of `keep.size` is reached", full=True
        )
    return StoreUnavailableError(f"{path} can't be written: {error}")


def lock(path: Path) -> int:
    """Take the lock beside a database for this process's life; return its descriptor. Raises a `StoreError`."""
    check_place(path)
    beside = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailableError(f"{beside} can't be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreInUseError(f"{path} is in use by another relay; one database serves one process") from error
    return descriptor


def lock_patiently(path: Path) -> int:
    """Take the lock; wait up to `LOCK_PATIENCE` for a command that holds it to see whether a relay runs."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(StoreInUseError),
        wait=tenacity.wait_random(0.02, 0.1),
        stop=tenacity.stop_after_delay(LOCK_PATIENCE),
        reraise=True,
    )
    return retrying(lock, path)


def write_notice(descriptor: int, notice: bytes) -> None:
    """Write a notice into a lock that this process holds, if the disk has room for it."""
    with suppress(OSError):
        os.pwrite(descriptor, notice, 0)
        os.ftruncate(descriptor, len(notice))


def read_notice(path: Path) -> bytes:
    """Return the notice that the holder of the lock beside a database has written. Raises OSError."""
    return path.with_name(path.name + ".lock").read_bytes()


def check_place(path: Path) -> None:
    """Raise `StoreUnavailableError` if no database can be at this path."""
    if path.is_dir():
        raise StoreImpossibleError(
            f"{path} is a directory; name a file in `storage`, as in sqlite:/var/lib/relay/relay.db"
        )
    if path.exists() and not path.is_file():
        raise StoreImpossibleError(
            f"{path} is not a regular file; name one in `storage`, as in sqlite:/var/lib/relay/relay.db"
        )
    if not path.parent.is_dir():
        raise StoreUnavailableError(f"{path.parent} does not exist; make it, or name another place in `storage`")


def is_locked(path: Path) -> bool | None:
    """Return True if a relay runs on this database; None if this user can't find out, or there is no database."""
    try:
        if not path.exists():
            return None
        os.close(lock(path))
    except StoreInUseError:
        return True
    except (StoreUnavailableError, PermissionError):
        return None
    return False


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a database for use from any one thread at a time."""
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.execute("PRAGMA busy_timeout = 5000")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def open_database(path: Path, size: int | None = None) -> sqlite3.Connection:
    """Open, configure and migrate a database of at most `size` bytes.

    Raises a `StoreError`. A file that is damaged, foreign or newer is not changed.
    """
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        raise StoreImpossibleError(f"SQLite {sqlite3.sqlite_version} is too old; 3.38 or newer is needed")
    check_place(path)
    try:
        return _open(path, size)
    except sqlite3.Error as error:
        raise translate(error, path) from error


def _open(path: Path, size: int | None) -> sqlite3.Connection:
    if path.exists() and path.stat().st_size > 0:
        _inspect(path)
    connection = connect(path)
    path.chmod(0o600)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    _migrate(connection)
    limit_size(connection, size)
    return connection


def _inspect(path: Path) -> None:
    """Check an existing file without changing it. Raises a `StoreError` if it is damaged, foreign or newer."""
    if not os.access(path, os.W_OK):
        raise StoreUnavailableError(f"{path} is read-only for this user")
    connection = connect(path)
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application != APPLICATION_ID and tables:
            raise StoreCorruptError(f"{path} is a database of another program; name another file in `storage`")
        if version > len(migrations()):
            raise StoreNewerError(
                f"{path} was written by a newer relay (schema {version}, this one knows {len(migrations())}); "
                "start that version, or restore a copy from before the upgrade"
            )
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if path.stat().st_size < 2**26 else "ok"
        if found != "ok":
            raise StoreCorruptError(f"{path} is damaged ({found}); restore a copy or move it away")
    finally:
        connection.close()


def migrations() -> list[str]:
    """Return the numbered migrations in order."""
    return named.migrations("relay.storage.sqlite")


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, script in enumerate(migrations()[version:], version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\n"
            f"PRAGMA application_id = {APPLICATION_ID};\nCOMMIT;"
        )


def fold_log(connection: sqlite3.Connection) -> None:
    """Write the log into the file and truncate it, as far as readers and the disk allow it now."""
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def limit_size(connection: sqlite3.Connection, size: int | None, extra: int = 0) -> None:
    """Limit the file to `size` + `extra` bytes (never below its present size)."""
    if size is not None:
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA max_page_count = {max(64, (size + extra) // page)}")


class Reserve:
    """A file of real bytes beside the database, given up when the disk is full and taken again when it is not."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".reserve")
        self.size = min(RESERVE_BYTES, shutil.disk_usage(database.parent).total // 16)

    def take(self) -> bool:
        """Make sure that the reserve exists; return False if the disk has no room for it."""
        try:
            if self._path.exists() and self._path.stat().st_size == self.size:
                return True
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self.size)
            finally:
                os.close(descriptor)
        except OSError:
            self.give_up()
            return False
        return True

    def give_up(self) -> None:
        """Free the reserved room."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
