"""The relay's own accounts: their own actions are no events."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable


class OwnAccounts:
    """Knows the accounts that the relay posts with, by their ids and e-mail addresses at their services."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """Record an account's id and addresses."""
        self._known.update(_plain(name) for name in names if name)

    def has(self, names: Iterable[str]) -> bool:
        """Return whether any of these names belongs to an own account."""
        return any(_plain(name) in self._known for name in names if name)


def _plain(name: str) -> str:
    """Return one form for all forms of a name: an address in lower case, or the UUID within a Webex id.

    A Webex id is base64 of `ciscospark://CLUSTER/KIND/UUID`. The ids of one person may name the cluster differently
    (Webex for Developers, "Identifying Resources").
    """
    try:
        decoded = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
    except (binascii.Error, ValueError):
        return name.lower()
    return decoded.rpartition("/")[2].lower() if decoded.startswith("ciscospark://") else name.lower()
