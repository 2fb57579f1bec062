"""A copy of a database while a relay works on it: whole, as of one moment, and checked."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from relay.ports import StoreUnavailableError
from relay.storage.sqlite.database import connect, translate

PAGES = 1_024
"""Pages that are copied at a time; writers go on in between."""


def back_up(path: Path, to: Path, progress: Callable[[int, int], None]) -> int:
    """Copy the database at `path` to a new file; return its size in bytes. `progress` gets pages done and all pages.

    Source: SQLite documentation, "Online Backup API". Raises a `StoreError`, and leaves nothing at `to` then.
    """
    beside = to.with_name(f".{to.name}.part")
    try:
        beside.touch(mode=0o600)  # first: a folder that can't be written is told as such
        with closing(connect(path, read_only=True)) as source, closing(sqlite3.connect(beside)) as copy:
            source.backup(copy, pages=PAGES, progress=lambda _, left, total: progress(total - left, total))
            copy.execute("PRAGMA journal_mode = DELETE")  # so that the copy is one file, without a log beside it
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StoreUnavailableError(f"the copy of {path} is damaged: {found}")
        # On disk before the rename: a power cut must not leave the final name on half a copy.
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(to)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
            raise StoreUnavailableError(f"{to} can't be written: no room left on its disk", full=True) from error
        raise translate(error, path) from error
    except OSError as error:
        raise StoreUnavailableError(f"{to} can't be written: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)
    return to.stat().st_size
