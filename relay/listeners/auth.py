"""Authentication of requests: comparisons in constant time, several valid secrets, 401 for anything odd."""

from __future__ import annotations

import base64
import binascii
import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import msgspec

from relay.formats.contract import Scheme, Signed

Secrets = Callable[[], Sequence[str]]
"""Returns the secrets that are valid now; several during a rotation."""


class Bearer(msgspec.Struct, frozen=True):
    """`Authorization: Bearer …` (RFC 6750)."""

    tokens: Secrets

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request's headers carry a valid token."""
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and _matches(given.strip(), self.tokens())


class Basic(msgspec.Struct, frozen=True):
    """`Authorization: Basic …` (RFC 7617)."""

    username: str
    passwords: Secrets

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request's headers carry the user's name and a valid password."""
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, colon, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return False
        # `&` evaluates both sides: the time must not show whether the name or the password was wrong
        return _matches(user, [self.username]) & bool(colon) & _matches(password, self.passwords())


class Header(msgspec.Struct, frozen=True):
    """A header of the operator's choice with a secret value."""

    name: str
    values: Secrets

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request's headers carry a valid value."""
        return _matches(headers.get(self.name, ""), self.values())


class Signature(msgspec.Struct, frozen=True):
    """The vendor's own signature over the body; `verifies` checks it once the body is there."""

    secrets: Secrets
    scheme: Scheme

    def admits(self, headers: Mapping[str, str]) -> bool:  # noqa: ARG002 - the interface's
        """Return True: the signature covers the body, which has not been read yet."""
        return True

    def verifies(self, signed: Signed, now: float) -> bool:
        """Return whether a request is signed with one of the valid secrets. `now` in Unix seconds."""
        found = False
        for secret in self.secrets():
            found |= bool(secret) & self.scheme(signed, secret, now)
        return found


class UnavailableError(Exception):
    """The third party that vouches for a body could not be asked. The sender should try again."""


class Vouched(ABC):
    """A third party vouches for the body; `verifies` asks it once the body is there."""

    def admits(self, headers: Mapping[str, str]) -> bool:  # noqa: ARG002 - the interface's
        """Return True: the third party vouches for the body, which has not been read yet."""
        return True

    @abstractmethod
    async def verifies(self, body: bytes) -> bool:
        """Return whether the body is vouched for, and do what it asks for. Raises `UnavailableError`."""


class NoAuth(msgspec.Struct, frozen=True):
    """Admits everyone: on loopback, or if the configuration says `auth: none`."""

    def admits(self, headers: Mapping[str, str]) -> bool:  # noqa: ARG002 - the interface's
        """Return True."""
        return True


Auth = Bearer | Basic | Header | Signature | Vouched | NoAuth


def _matches(given: str, good: Sequence[str]) -> bool:
    """Compare with all valid secrets, each in constant time; an empty secret never matches."""
    raw = given.encode(errors="surrogateescape")
    found = False
    for secret in good:
        found |= bool(secret) & hmac.compare_digest(raw, secret.encode())
    return found
