"""Alertmanager's receivers as the relay's accounts and rooms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec

from relay.app.migration.reading import TEMPLATE, Item, Reader, Table
from relay.settings.problems import Path
from relay.settings.types import is_address

DEFAULT_URL = "https://webexapis.com/v1/messages"


class Told(msgspec.Struct, frozen=True):
    """The rooms of a receiver; `quiet` where it is not told of ends, `path` its place."""

    path: Path
    rooms: tuple[str, ...]
    quiet: bool = False


class Receivers:
    """Makes rooms of receivers, and the accounts that these need."""

    def __init__(self, reader: Reader, url: str | None) -> None:
        """`url` is the file's own address of Webex."""
        self.accounts: dict[str, Any] = {}
        self.rooms: dict[str, Any] = {}
        self.told: dict[str, Told] = {}
        self._reader = reader
        self._url = url
        self._tokens: dict[str, str] = {}

    def add(self, item: Item, raw: Mapping[str, object]) -> None:
        """Take a receiver; `raw` are all of its keys."""
        path, receiver = item
        name = receiver.get("name")
        if not name:
            self._reader.refuse(path, "a receiver needs a name")
        elif name in self.told:
            self._reader.refuse((*path, "name"), f"a receiver is called {name[:60]!r} already")
        else:
            self.told[name] = self._made(path, name, receiver, raw)

    def _made(self, path: Path, name: str, receiver: Table, raw: Mapping[str, object]) -> Told:
        configs = receiver.get("webex_configs") or []
        others = [key for key, value in raw.items() if key not in ("name", "webex_configs") and _is_some(value)]
        rooms = [self._room(name, number, config) for number, config in enumerate(configs)]
        if not rooms and not others:
            self._reader.note(
                path, f"receiver {name[:60]!r} has no integration, so its routes tell nobody (`rooms: []`)"
            )
        elif not rooms:
            rooms = [self._stand_in(path, name, f"has {', '.join(others)} alone, which the relay lacks")]
        ends = [config.table.get("send_resolved", True) for config in configs]
        if any(ends) and not all(ends):
            quiet = ", ".join(room for room, told in zip(rooms, ends, strict=True) if not told)
            self._reader.note(
                path, f"`send_resolved: false` of some rooms alone is left out: {quiet} learn of ends too"
            )
        return Told(path, tuple(rooms), bool(ends) and not any(ends))

    def _room(self, receiver: str, number: int, config: Item) -> str:
        path, found = config
        room_id = found.get("room_id", "")
        if not room_id:
            return self._stand_in(path, receiver, "has no room_id here")
        if TEMPLATE in room_id or "${" in room_id:
            kind = "a template" if TEMPLATE in room_id else "a variable that nothing has filled in"
            return self._stand_in((*path, "room_id"), receiver, f"has {kind} in place of a room's id")
        name = named(receiver if number == 0 else f"{receiver}-{number + 1}", self.rooms)
        self.rooms[name] = {"account": self._account(path, found, receiver), "id": room_id}
        return name

    def _stand_in(self, path: Path, receiver: str, why: str) -> str:
        """Name a room by its title. A created one would have no members; one that is missing is told as failing."""
        account = next(iter(self.accounts), None) or self._account(path, {}, receiver)
        name = named(receiver, self.rooms)
        self.rooms[name] = {"account": account, "title": receiver}
        said = f"rooms.{name} stands in for it: give it the id or title of a room of yours"
        self._reader.note(path, f"receiver {receiver[:60]!r} {why}; {said}")
        return name

    def _account(self, path: Path, config: Table, receiver: str) -> str:
        """Return the account of a room: one for each address, connection and token."""
        http = config.get("http_config") or {}
        authorization = http.get("authorization") or {}
        token = authorization.get("credentials") or http.get("bearer_token") or ""
        file = authorization.get("credentials_file") or http.get("bearer_token_file")
        if authorization.get("type", "Bearer").strip().lower() not in ("bearer", ""):
            self._reader.note((*path, "http_config", "authorization", "type"), "Webex takes Bearer; left out")
        account = {"type": "webex", **self._address(path, config), **self._connection((*path, "http_config"), http)}
        key = msgspec.json.encode([account, file or token]).decode()
        if key in self._tokens:
            return self._tokens[key]
        name = "webex" if not self.accounts else f"webex{len(self.accounts) + 1}"
        variable = "WEBEX_TOKEN" if not self.accounts else f"WEBEX_TOKEN_{len(self.accounts) + 1}"
        self.accounts[name] = {**account, "token": {"file": self._file(path, file)} if file else {"env": variable}}
        self._tokens[key] = name
        if not file:
            said = f"accounts.{name}: put the token of receiver {receiver[:60]!r} into the variable {variable}"
            self._reader.note(path, said)
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
        """Return the proxy and the TLS of a receiver, as far as an account has the like."""
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
            self._reader.note(path, f"{file[:100]!r} is sought beside relay.yaml now")
        return file


def named(wanted: str, taken: Mapping[str, Any]) -> str:
    """Return a name of ours that is near a receiver's."""
    base = "".join(sign if (sign.isalnum() and sign.isascii()) or sign in "_.-" else "-" for sign in wanted)
    base = base.lstrip(".-")[:90] or "room"
    number, name = 2, base
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name


def _is_some(value: object) -> bool:
    """Tell whether an integration's key holds something: neither null nor an empty list."""
    return value != [] and not getattr(value, "null", False)
