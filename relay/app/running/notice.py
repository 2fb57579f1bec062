"""The notice that a running relay leaves beside its database for the command line: its address and its last load."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec

from relay.storage.sqlite.database import is_locked, read_notice

TRIES = 10
"""Most attempts to read a notice that is being written."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """The process of a relay, the file of its configuration, its admin address, and the certificate of that address.

    `loads` counts the loads of the configuration, the start included. `last_load` is the result of the last one, in the
    form of `POST /-/reload`.
    """

    pid: int
    config: str
    admin: str
    certificate: str | None
    loads: int
    last_load: dict[str, Any]


def notice_of(storage: Path) -> Notice | None:
    """Return the notice of the relay that runs on a database; None if none runs, or this user can't see it."""
    for _ in range(TRIES):
        if not is_locked(storage):
            return None
        try:
            return msgspec.json.decode(read_notice(storage), type=Notice)
        except (msgspec.DecodeError, UnicodeDecodeError):
            threading.Event().wait(0.02)  # the notice is half written, or the relay is starting
        except OSError:
            return None
    return None
