"""An Alertmanager configuration becomes the relay's (Alertmanager's documentation, "Configuration").

What can't be carried over is listed, never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml

from relay.core.matching import EVENT_NAMES, LABEL_PREFIX, BadMatcherError, make_matcher, parse_matchers
from relay.core.words import say_misfit

DEFAULT_URL = "https://webexapis.com/v1/messages"
_ROUTE_KEYS = {
    "receiver", "matchers", "match", "match_re", "continue", "routes", "group_by", "group_wait", "group_interval",
    "repeat_interval", "mute_time_intervals", "active_time_intervals",
}  # fmt: skip
_KEPT = ("group_wait", "group_interval", "repeat_interval", "mute_time_intervals", "active_time_intervals")
_TOP_KEYS = {"global", "route", "receivers", "time_intervals", "mute_time_intervals", "inhibit_rules", "templates"}


class _Loader(yaml.SafeLoader):
    """Takes 21:00 for a time of day, not for a number of base 60 as YAML 1.1 has it."""

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        """A number, or the text of what only looks like one."""
        if ":" in node.value:
            return node.value
        return self.construct_yaml_float(node) if node.tag.endswith("float") else self.construct_yaml_int(node)


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)


class NotAlertmanagerError(ValueError):
    """A file that is no Alertmanager configuration; its text says why."""


class _Http(msgspec.Struct):
    authorization: dict[str, Any] | None = None
    proxy_url: str | None = None
    tls_config: dict[str, Any] | None = None


class _Webex(msgspec.Struct):
    room_id: str | int = ""
    send_resolved: bool = True
    api_url: str | None = None
    http_config: _Http | None = None


class _Receiver(msgspec.Struct):
    name: str | int
    webex_configs: list[_Webex] | None = None


_Old = dict[str, str | int | float | bool] | None
"""The old form of matchers."""


class _Route(msgspec.Struct):
    receiver: str | int | None = None
    matchers: list[str] | str | None = None
    match: _Old = None
    match_re: _Old = None
    group_by: list[str] | None = None
    group_wait: str | None = None
    group_interval: str | None = None
    repeat_interval: str | None = None
    mute_time_intervals: list[str] | None = None
    active_time_intervals: list[str] | None = None
    routes: list[_Route] | None = None


class _Inhibition(msgspec.Struct):
    source_matchers: list[str] | str | None = None
    source_match: _Old = None
    source_match_re: _Old = None
    target_matchers: list[str] | str | None = None
    target_match: _Old = None
    target_match_re: _Old = None
    equal: list[str] | None = None


class _Interval(msgspec.Struct):
    name: str | int
    time_intervals: list[dict[str, Any]] | None = None


class _Global(msgspec.Struct):
    resolve_timeout: str | None = None
    webex_api_url: str | None = None


class _Alertmanager(msgspec.Struct):
    """The shape of what is read here."""

    route: _Route
    receivers: list[_Receiver] | None = None
    inhibit_rules: list[_Inhibition] | None = None
    time_intervals: list[_Interval] | None = None
    mute_time_intervals: list[_Interval] | None = None
    common: _Global | None = msgspec.field(default=None, name="global")


class Migrated(msgspec.Struct, frozen=True):
    """The relay's configuration, and what was not carried over or wants a look."""

    settings: dict[str, Any]
    notes: tuple[str, ...]

    def text(self) -> str:
        """The configuration as YAML, the notes on top of it."""
        notes = "".join(f"# - {note}\n" for note in self.notes)
        head = "# Made from an Alertmanager configuration. What wants a look:\n" + (notes or "# - nothing\n")
        return head + "\n" + yaml.safe_dump(self.settings, sort_keys=False, allow_unicode=True, width=110)


def migrate(text: str) -> Migrated:
    """Make a configuration of Alertmanager's. Raises `NotAlertmanagerError`."""
    try:
        found = yaml.load(text, _Loader)  # noqa: S506 - a safe loader but for times of day
    except yaml.YAMLError as error:
        raise NotAlertmanagerError(f"no YAML: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("route"), dict):
        raise NotAlertmanagerError("no Alertmanager configuration: it has a `route` and `receivers`")
    try:
        msgspec.convert(found, _Alertmanager)
    except msgspec.ValidationError as error:
        raise NotAlertmanagerError(say_misfit(error)) from error
    migration = _Migration(found)
    return Migrated(migration.settings(), tuple(migration.notes))


class _Migration:
    def __init__(self, found: dict[str, Any]) -> None:
        self._found = found
        self.notes: list[str] = []
        self._accounts: dict[str, Any] = {}
        self._rooms: dict[str, Any] = {}
        self._receivers: dict[str, tuple[str, ...]] = {}
        self._quiet: set[str] = set()
        self._tokens: dict[str, str] = {}

    def settings(self) -> dict[str, Any]:
        for receiver in self._list(self._found.get("receivers")):
            self._receiver(receiver)
        route = self._route(self._found["route"], "route", root=True)
        settings: dict[str, Any] = {
            "operator": {"room": next(iter(route["rooms"]))},
            "accounts": self._accounts or {"webex": {"type": "webex", "token": {"env": "WEBEX_TOKEN"}}},
            "rooms": self._rooms,
            "sources": {"prometheus": self._source()},
            "route": route,
        }
        intervals = [
            *self._list(self._found.get("time_intervals")),
            *self._list(self._found.get("mute_time_intervals")),
        ]
        if intervals:
            settings["time_intervals"] = intervals
        rules = [self._inhibition(rule, n) for n, rule in enumerate(self._list(self._found.get("inhibit_rules")))]
        if rules:
            settings["inhibit_rules"] = rules
        self._rest()
        return settings

    @staticmethod
    def _list(value: Any) -> list[Any]:
        return value if isinstance(value, list) else []

    def _source(self) -> dict[str, Any]:
        source: dict[str, Any] = {"type": "alertmanager-api"}
        timeout = (self._found.get("global") or {}).get("resolve_timeout")
        if timeout is not None:
            source["resolve_timeout"] = timeout
        self.notes.append(
            "sources.prometheus: Prometheus posts to the events address now (`alertmanagers:` in its configuration)"
        )
        return source

    def _receiver(self, receiver: Mapping[str, Any]) -> None:
        name = str(receiver.get("name", ""))
        others = [kind for kind in receiver if kind not in ("name", "webex_configs")]
        rooms = tuple(
            self._room(name, number, config) for number, config in enumerate(self._list(receiver.get("webex_configs")))
        )
        if others:
            self.notes.append(f"receiver {name!r}: {', '.join(others)} are not Webex rooms and are not carried over")
        if not rooms:
            rooms = (self._stand_in(name),)
        resolves = [bool(config.get("send_resolved", True)) for config in self._list(receiver.get("webex_configs"))]
        if resolves and not any(resolves):
            self._quiet.add(name)
        elif not all(resolves):
            told = ", ".join(room for room, resolve in zip(rooms, resolves, strict=True) if not resolve)
            self.notes.append(f"receiver {name!r}: `send_resolved: false` for {told} alone is not carried over")
        self._receivers[name] = rooms

    def _room(self, receiver: str, number: int, config: Mapping[str, Any]) -> str:
        if not config.get("room_id"):
            self.notes.append(f"receiver {receiver!r}: webex_configs[{number}] has no room_id")
            return self._stand_in(receiver)
        room = self._named(receiver if number == 0 else f"{receiver}-{number + 1}", self._rooms)
        self._rooms[room] = {"account": self._account(config, receiver), "id": str(config.get("room_id", ""))}
        if config.get("message"):
            self.notes.append(f"receiver {receiver!r}: `message` is a Go template; `templates` are Jinja2 here")
        return room

    def _stand_in(self, receiver: str) -> str:
        account = next(iter(self._accounts), None) or self._account({}, receiver)
        room = self._named(receiver, self._rooms)
        self._rooms[room] = {"account": account, "title": receiver, "create": True}
        self.notes.append(f"rooms.{room}: receiver {receiver!r} names no room; one of this title stands in")
        return room

    def _account(self, config: Mapping[str, Any], receiver: str) -> str:
        """The account of a receiver: one for each address and token."""
        credentials = (config.get("http_config") or {}).get("authorization") or {}
        url = config.get("api_url") or (self._found.get("global") or {}).get("webex_api_url") or DEFAULT_URL
        account: dict[str, Any] = {"type": "webex"}
        if url != DEFAULT_URL:
            account["url"] = str(url).removesuffix("/messages")
        account |= self._connection(config.get("http_config") or {}, receiver)
        if credentials.get("credentials_file"):
            account["token"] = {"file": credentials["credentials_file"]}
        else:
            number = len(self._accounts) + 1
            account["token"] = {"env": "WEBEX_TOKEN" if number == 1 else f"WEBEX_TOKEN_{number}"}
        known = next((name for name, one in self._accounts.items() if self._same(one, account, credentials)), None)
        if known is not None:
            return known
        name = "webex" if not self._accounts else f"webex{len(self._accounts) + 1}"
        self._accounts[name] = account
        self._tokens[name] = str(credentials.get("credentials", ""))
        if "env" in account["token"]:
            variable = account["token"]["env"]
            self.notes.append(f"accounts.{name}: put the token of receiver {receiver!r} into the variable {variable}")
        return name

    def _connection(self, http: Mapping[str, Any], receiver: str) -> dict[str, Any]:
        """Proxy and TLS of a receiver, as far as an account has the like."""
        made: dict[str, Any] = {}
        if http.get("proxy_url"):
            made["proxy"] = http["proxy_url"]
        tls = dict(http.get("tls_config") or {})
        carried = {"ca": tls.pop("ca_file", None), "verify": False if tls.pop("insecure_skip_verify", False) else None}
        if any(value is not None for value in carried.values()):
            made["tls"] = {key: value for key, value in carried.items() if value is not None}
        others = [f"http_config.{key}" for key in http if key not in ("authorization", "proxy_url", "tls_config")]
        if others := [*others, *(f"http_config.tls_config.{key}" for key in tls)]:
            self.notes.append(f"receiver {receiver!r}: {', '.join(others)} are not carried over")
        return made

    def _same(self, known: Mapping[str, Any], account: Mapping[str, Any], credentials: Mapping[str, Any]) -> bool:
        if any(known.get(key) != account.get(key) for key in ("url", "proxy", "tls")):
            return False
        if "file" in account["token"]:
            return bool(known["token"] == account["token"])
        name = next(name for name, one in self._accounts.items() if one is known)
        return "env" in known["token"] and self._tokens[name] == str(credentials.get("credentials", ""))

    @staticmethod
    def _named(wanted: str, taken: Mapping[str, Any]) -> str:
        """A name of ours that is near a receiver's."""
        base = "".join(sign if (sign.isalnum() and sign.isascii()) or sign in "_.-" else "-" for sign in wanted)
        base = base.lstrip(".-")[:90] or "room"
        number, name = 2, base
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        return name

    def _route(self, route: Mapping[str, Any], path: str, *, root: bool = False) -> dict[str, Any]:
        self.notes += [f"{path}.{key} is not carried over" for key in route if key not in _ROUTE_KEYS]
        made: dict[str, Any] = {} if route.get("receiver") is None else self._destination(str(route["receiver"]), root)
        if matchers := [*self._matchers(route, "", path)]:
            made["matchers"] = matchers
        if route.get("continue"):
            made["continue"] = True
        if root or route.get("group_by") is not None:
            made["group_by"] = [_label(name) for name in self._list(route.get("group_by"))]
        made |= {key: route[key] for key in _KEPT if route.get(key) is not None}
        if children := self._list(route.get("routes")):
            made["routes"] = [self._route(one, f"{path}.routes[{n}]") for n, one in enumerate(children)]
        return made

    def _destination(self, receiver: str, root: bool) -> dict[str, Any]:
        """The rooms of a receiver, and whether it is told of ends."""
        made: dict[str, Any] = {"rooms": list(self._receivers.get(receiver, ())) or [self._stand_in(receiver)]}
        if receiver in self._quiet:
            made["on_resolve"] = "none"
        elif self._quiet and not root:
            made["on_resolve"] = ["edit", "reply"]
        return made

    def _matchers(self, holder: Mapping[str, Any], prefix: str, path: str) -> Iterator[str]:
        """Matchers of all forms as ours; labels of the names that events have are reached as `label.NAME`."""
        for name, value in (holder.get(f"{prefix}match") or {}).items():
            yield str(make_matcher(_label(name), "=", str(value)))
        for name, value in (holder.get(f"{prefix}match_re") or {}).items():
            yield from self._read(f"{_label(name)}=~{_quoted(str(value))}", path)
        texts = holder.get(f"{prefix}matchers") or []
        for text in [texts] if isinstance(texts, str) else texts:
            yield from self._read(str(text), path)

    def _read(self, text: str, path: str) -> Iterator[str]:
        try:
            for matcher in parse_matchers(text):
                yield str(msgspec.structs.replace(matcher, name=_label(matcher.name)))
        except BadMatcherError as error:
            self.notes.append(f"{path}: {error}; left out, so this matches more than it did")

    def _inhibition(self, rule: Mapping[str, Any], number: int) -> dict[str, Any]:
        path = f"inhibit_rules[{number}]"
        made: dict[str, Any] = {
            f"{side}_matchers": list(self._matchers(rule, f"{side}_", path)) for side in ("source", "target")
        }
        if rule.get("equal"):
            made["equal"] = [_label(name) for name in rule["equal"]]
        return made

    def _rest(self) -> None:
        for key in self._found:
            if key not in _TOP_KEYS:
                self.notes.append(f"{key} is not carried over")
        if self._found.get("templates"):
            self.notes.append(
                "templates are Go templates; write them anew in Jinja2 (`templates:`), or use the built-in"
            )
        known = ("resolve_timeout", "webex_api_url")
        others = [key for key in self._found.get("global") or {} if key not in known]
        if others:
            self.notes.append(f"global: {', '.join(others)} are not carried over")


def _label(name: Any) -> str:
    return f"{LABEL_PREFIX}{name}" if name in EVENT_NAMES else str(name)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
