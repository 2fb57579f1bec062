"""Converting Alertmanager's receivers to accounts and rooms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec

from relay.app.migration.reading import TEMPLATE, Item, Reader, Table
from relay.settings.problems import Path
from relay.settings.types import is_address

DEFAULT_URL = "https://webexapis.com/v1/messages"


class Target(msgspec.Struct, frozen=True):
    """The rooms of a receiver and its path; if `quiet`, the receiver gets no messages about ends."""

    path: Path
    rooms: tuple[str, ...]
    quiet: bool = False


class Receivers:
    """Makes rooms from receivers, and the accounts that the rooms need."""

    def __init__(self, reader: Reader, url: str | None) -> None:
        """`url` is the address of Webex in the file's `global` section."""
        self.accounts: dict[str, Any] = {}
        self.rooms: dict[str, Any] = {}
        self.targets: dict[str, Target] = {}
        self._reader = reader
        self._url = url
        self._tokens: dict[str, str] = {}

    def add(self, item: Item, raw: Mapping[str, object]) -> None:
        """Convert a receiver; `raw` has all of its keys."""
        path, receiver = item
        name = receiver.get("name")
        if not name:
            self._reader.refuse(path, "a receiver needs a `name`")
        elif name in self.targets:
            self._reader.refuse((*path, "name"), f"another receiver is called {name[:60]!r}; rename one")
        else:
            self.targets[name] = self._made(path, name, receiver, raw)

    def _made(self, path: Path, name: str, receiver: Table, raw: Mapping[str, object]) -> Target:
        configs = receiver.get("webex_configs") or []
        others = [key for key, value in raw.items() if key not in ("name", "webex_configs") and _is_some(value)]
        rooms = [self._room(name, number, config) for number, config in enumerate(configs)]
        if not rooms and not others:
            self._reader.note(
                path, f"receiver {name[:60]!r} has no integration, so its routes send nothing (`rooms: []`)"
            )
        elif not rooms:
            rooms = [self._stand_in(path, name, f"has only {', '.join(others)}, which the relay does not have")]
        ends = [config.table.get("send_resolved", True) for config in configs]
        if any(ends) and not all(ends):
            quiet = ", ".join(room for room, resolved in zip(rooms, ends, strict=True) if not resolved)
            self._reader.note(
                path, f"`send_resolved: false` of only some rooms is left out: ends are sent to {quiet} too"
            )
        return Target(path, tuple(rooms), bool(ends) and not any(ends))

    def _room(self, receiver: str, number: int, config: Item) -> str:
        path, found = config
        room_id = found.get("room_id", "")
        if not room_id:
            return self._stand_in(path, receiver, "has no room_id here")
        if TEMPLATE in room_id or "${" in room_id:
            kind = "a template" if TEMPLATE in room_id else "a variable that was not replaced"
            return self._stand_in((*path, "room_id"), receiver, f"has {kind} in place of a room's id")
        name = named(receiver if number == 0 else f"{receiver}-{number + 1}", self.rooms)
        self.rooms[name] = {"account": self._account(path, found, receiver), "id": room_id}
        return name

    def _stand_in(self, path: Path, receiver: str, why: str) -> str:
        """Make a room with only a title, and return its name.

        The relay is not to create it, as it would have no members; a missing room is reported as failing.
        """
        account = next(iter(self.accounts), None) or self._account(path, {}, receiver)
        name = named(receiver, self.rooms)
        self.rooms[name] = {"account": account, "title": receiver}
        message = f"rooms.{name} takes its place: give it the id or title of one of your rooms"
        self._reader.note(path, f"receiver {receiver[:60]!r} {why}; {message}")
        return name

    def _account(self, path: Path, config: Table, receiver: str) -> str:
        """Return the name of a room's account: there is one for each address, connection and token."""
        http = config.get("http_config") or {}
        authorization = http.get("authorization") or {}
        token = authorization.get("credentials") or http.get("bearer_token") or ""
        file = authorization.get("credentials_file") or http.get("bearer_token_file")
        if authorization.get("type", "Bearer").strip().lower() not in ("bearer", ""):
            self._reader.note((*path, "http_config", "authorization", "type"), "left out: Webex accepts only Bearer")
        account = {"type": "webex", **self._address(path, config), **self._connection((*path, "http_config"), http)}
        key = msgspec.json.encode([account, file or token]).decode()
        if key in self._tokens:
            return self._tokens[key]
        name = "webex" if not self.accounts else f"webex{len(self.accounts) + 1}"
        variable = "WEBEX_TOKEN" if not self.accounts else f"WEBEX_TOKEN_{len(self.accounts) + 1}"
        self.accounts[name] = {**account, "token": {"file": self._file(path, file)} if file else {"env": variable}}
        self._tokens[key] = name
        if not file:
            message = f"accounts.{name}: put the token of receiver {receiver[:60]!r} into the variable {variable}"
            self._reader.note(path, message)
        return name

    def _address(self, path: Path, config: Table) -> dict[str, str]:
        url = config.get("api_url") or self._url or DEFAULT_URL
        where: Path = (*path, "api_url") if config.get("api_url") else ("global", "webex_api_url")
        if not (url.startswith(("http://", "https://")) and is_address(url)):
            self._reader.refuse(where, f"expected an address like {DEFAULT_URL}")
        elif not url.endswith("/messages"):
            self._reader.note(where, "the relay posts to this address with /messages after it")
        return {} if url == DEFAULT_URL else {"url": url.removesuffix("/messages")}

    def _connection(self, path: Path, http: Table) -> dict[str, Any]:
        """Return those settings of a receiver's proxy and TLS that an account has too."""
        made: dict[str, Any] = {}
        if proxy := http.get("proxy_url"):
            if not (proxy.startswith(("http://", "https://")) and is_address(proxy)):
                self._reader.refuse(
                    (*path, "proxy_url"), "expected a proxy's address like http://proxy.example.net:3128"
                )
            made["proxy"] = proxy
        tls = http.get("tls_config") or {}
        if tls.get("ca_file"):
            made["tls"] = {"ca": self._file((*path, "tls_config", "ca_file"), tls["ca_file"])}
        if tls.get("insecure_skip_verify"):
            made["tls"] = {**made.get("tls", {}), "verify": False}
        return made

    def _file(self, path: Path, file: str) -> str:
        if not PurePosixPath(file).is_absolute():
            self._reader.note(path, f"{file[:100]!r} is now relative to the folder of relay.yaml")
        return file


def named(wanted: str, taken: Mapping[str, Any]) -> str:
    """Return a valid name that is not taken, as similar to a receiver's as possible."""
    base = "".join(sign if (sign.isalnum() and sign.isascii()) or sign in "_.-" else "-" for sign in wanted)
    base = base.lstrip(".-")[:90] or "room"
    number, name = 2, base
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name


def _is_some(value: object) -> bool:
    """Return whether the value of an integration's key is neither null nor an empty list."""
    return value != [] and not getattr(value, "null", False)
