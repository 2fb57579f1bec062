"""The relay's own accounts: what they did is no event."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable


class OwnAccounts:
    """Knows the accounts that the relay posts with, by their ids and e-mail addresses at their services."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """Take note of an account's id and addresses."""
        self._known.update(_plain(name) for name in names if name)

    def has(self, names: Iterable[str]) -> bool:
        """Return whether any of these is an own account's."""
        return any(_plain(name) in self._known for name in names if name)


def _plain(name: str) -> str:
    """Return what two forms of a name have in common: the lower case of an address, the UUID within a Webex id.

    A Webex id is base64 of `ciscospark://CLUSTER/KIND/UUID`, where the cluster is named in several ways for one person
    (Webex for Developers, "Identifying Resources").
    """
    try:
        decoded = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
    except (binascii.Error, ValueError):
        return name.lower()
    return decoded.rpartition("/")[2].lower() if decoded.startswith("ciscospark://") else name.lower()
