"""What a running relay leaves beside its database for its own command line: where it is, and how its last load went."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec

from relay.storage.database import is_locked, read_notice

TRIES = 10
"""Looks at a notice that is just being written."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A relay's process, its configuration's file, its admin address, and the certificate that this shows.

    `loads` counts the loads of the configuration, the start included; `last_load` is how the last one went, as
    `POST /-/reload` tells it.
    """

    pid: int
    config: str
    admin: str
    certificate: str | None
    loads: int
    last_load: dict[str, Any]


def notice_of(storage: Path) -> Notice | None:
    """The notice of the relay that runs on a database; None where none does, or this user can't see it."""
    for _ in range(TRIES):
        if not is_locked(storage):
            return None
        try:
            return msgspec.json.decode(read_notice(storage), type=Notice)
        except (msgspec.DecodeError, UnicodeDecodeError):
            threading.Event().wait(0.02)  # it is half written, or the relay starts
        except OSError:
            return None
    return None
