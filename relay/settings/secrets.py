"""Secrets: where they come from, and a type that never shows its value."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
from pydantic import BaseModel

MASK = "********"
MAX_SECRET = 65_536
Origin = Literal["env", "file", "credential", "literal"]


class SecretError(Exception):
    """A secret can't be read; the text names its origin, never its value."""


class SecretRef(msgspec.Struct, frozen=True):
    """A reference to a secret. `place` is a variable's name, a path, a credential's name, or the secret itself."""

    origin: Origin
    place: str

    def __repr__(self) -> str:
        return f"SecretRef({self.describe()})"

    def __str__(self) -> str:
        return self.describe()

    def describe(self) -> str:
        """Return the origin in words; a literal is masked."""
        return MASK if self.origin == "literal" else f"{{{self.origin}: {self.place}}}"

    def resolve(self) -> str:
        """Return the secret, without blanks around it. Raises `SecretError`."""
        if self.origin == "literal":
            return self.place
        value = os.environ.get(self.place) if self.origin == "env" else self._read()
        if value is None:
            raise SecretError(f"the environment variable {self.place} is not set")
        if not value.strip():
            raise SecretError(f"{self.describe()} is empty")
        return value.strip()

    def _read(self) -> str:
        try:
            with self.path().open("rb") as stream:
                return stream.read(MAX_SECRET).decode()
        except OSError as error:
            raise SecretError(f"{self.describe()} can't be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SecretError(f"{self.describe()} is not text") from error

    def path(self) -> Path:
        """Return the file that holds the secret. Raises `SecretError` if systemd gave no credentials."""
        if self.origin == "file":
            return Path(self.place)
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            message = "$CREDENTIALS_DIRECTORY is not set; systemd sets it if the unit has LoadCredential="
            raise SecretError(f"{self.describe()}: {message}")
        return Path(folder) / self.place


class LiveSecret:
    """A secret in use. One from a file follows the file; the others change only with a restart."""

    def __init__(self, ref: SecretRef) -> None:
        """Raises `SecretError`."""
        self._ref = ref
        self._value = ref.resolve()

    def __repr__(self) -> str:
        return f"LiveSecret({self._ref.describe()})"

    def current(self) -> str:
        """Return the current value."""
        return self._value

    def renew(self) -> None:
        """Read the secret again. Raises `SecretError`."""
        self._value = self._ref.resolve()

    def reread(self) -> None:
        """Read the secret again if it is from a file; keep the current value if that fails."""
        if self._ref.origin == "file":
            with suppress(SecretError):
                self.renew()


def texts_of(value: object) -> Iterator[str]:
    """Yield all addresses in a configuration; each may hold a secret."""
    if isinstance(value, str):
        if "://" in value:
            yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from texts_of(item)
    elif isinstance(value, dict):
        yield from texts_of(list(value.values()))
    elif isinstance(value, BaseModel):
        yield from texts_of([getattr(value, name) for name in type(value).model_fields])


def secrets_of(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], SecretRef]]:
    """Return all secrets of a configuration with their paths."""
    if isinstance(value, SecretRef):
        return [(path, value)]
    if isinstance(value, (tuple, list)):
        return [found for number, item in enumerate(value) for found in secrets_of(item, (*path, number))]
    if isinstance(value, dict):
        return [found for name, item in value.items() for found in secrets_of(item, (*path, name))]
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return [
            found for name in fields for found in secrets_of(getattr(value, name), (*path, fields[name].alias or name))
        ]
    return []
