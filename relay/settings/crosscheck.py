"""What one key can't show: names that must exist, doors that stand open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relay.core.rules import OPERATOR_SOURCE
from relay.settings.checking import Check
from relay.settings.document import Document
from relay.settings.model import Account, ApicSettings, PostedSettings, Room, Settings, SpikaAccount, WebsocketSettings
from relay.settings.problems import Path, Problem, unknown
from relay.settings.routecheck import check_routes
from relay.settings.secrets import secrets_of
from relay.settings.types import Address


def cross_check(settings: Settings, document: Document, formats: Mapping[str, object]) -> list[Problem]:
    """All problems between keys, errors and warnings."""
    check = _Check(settings, document, formats)
    routes = check_routes(settings, document)
    return [
        *check.listeners(),
        *check.rooms(),
        *check.sources(),
        *routes,
        *check.clients(),
        *check.filters(),
        *check.secrets(),
    ]


def open_doors(settings: Settings, document: Document, events: Address, admin: Address) -> list[Problem]:
    """What would let strangers in at the addresses that a process has, which need not be the configured ones."""
    return list(_Check(settings, document, {}).doors(events, admin))


class _Check(Check):
    def __init__(self, settings: Settings, document: Document, formats: Mapping[str, object]) -> None:
        super().__init__(settings, document)
        self._formats = formats

    def doors(self, events: Address, admin: Address) -> Iterator[Problem]:
        """What would let strangers in, where it listens at these addresses."""
        listen = self.settings.listen
        if not admin.is_loopback and listen.admin_token is None:
            it = "the admin address" if admin == listen.admin else f"the admin address, {admin} until a restart,"
            yield self.error(("listen", "admin"), f"beyond loopback {it} needs `listen.admin_token`")
        at = "" if events == listen.events else f" (this process listens at {events})"
        for name, source in self.settings.sources.items():
            if isinstance(source, PostedSettings) and source.auth is None and not events.is_loopback:
                said = f"beyond loopback{at} a source needs `auth` (or `auth: none`, where that is meant)"
                yield self.error(("sources", name), said)

    def listeners(self) -> Iterator[Problem]:
        listen, operator = self.settings.listen, self.settings.operator
        yield from self.doors(listen.events, listen.admin)
        if listen.admin == listen.events and listen.admin.port != 0:
            yield self.error(("listen", "admin"), "is the events address; they are two")
        if operator is None:
            yield self.warning((), "no `operator.room`: the relay tells its own trouble to the log alone")
        elif operator.room not in self.names("rooms"):
            yield self.error(("operator", "room"), unknown("room", operator.room, self.names("rooms")))

    def rooms(self) -> Iterator[Problem]:
        spaces: dict[tuple[str, ...], str] = {}
        for name, room in self.settings.rooms.items():
            if room.account not in self.names("accounts"):
                yield self.error(("rooms", name, "account"), unknown("account", room.account, self.names("accounts")))
            yield from self._template(("rooms", name), room.template)
            account = self.settings.accounts.get(room.account)
            if isinstance(account, SpikaAccount) and not (room.id or "").isdecimal():
                yield self.error(("rooms", name), "a room of a Spika account is known by its `id`, a number, alone")
            space = (room.account, room.id or "", room.title or "", (room.person or "").lower())
            if space in spaces:
                yield self.warning(("rooms", name), f"is the same space as room {spaces[space]!r}")
            spaces.setdefault(space, name)
            yield from self._fallback(name, room)

    def _fallback(self, name: str, room: Room) -> Iterator[Problem]:
        rooms, path = self.settings.rooms, ("rooms", name, "fallback")
        if room.fallback is None:
            return
        if room.fallback not in self.names("rooms"):
            yield self.error(path, unknown("room", room.fallback, self.names("rooms")))
        if room.fallback not in rooms:
            return
        way = [name]
        while (following := rooms[way[-1]].fallback) in rooms and following not in way:
            way.append(str(following))
        if following == name:
            yield self.error(path, f"leads back to itself: {' → '.join([*way, name])}")
        elif rooms[room.fallback].account == room.account:
            said = f"is a room of the same account, {room.account}: where that is refused or down, so is this"
            yield self.warning(path, said)

    def sources(self) -> Iterator[Problem]:
        paths: dict[str, str] = {"/healthz": "health"}
        for name, source in self.settings.sources.items():
            if name == OPERATOR_SOURCE:
                yield self.error(("sources", name), "this name stands for the relay's own events; take another")
            if source.silent_after is not None and self.settings.operator is None:
                said = "nobody hears of it: `operator.room` says who is told"
                yield self.warning(("sources", name, "silent_after"), said)
            if source.format is not None and (wrong := self._format_trouble(source.format)) is not None:
                yield self.error(("sources", name, "format"), wrong)
            if not isinstance(source, PostedSettings):
                continue
            path = source.path_of(name)
            if path in paths:
                yield self.error(("sources", name), f"listens at {path}, as {paths[path]} does")
            paths[path] = name

    def _format_trouble(self, name: str) -> str | None:
        """Why a format can't be had."""
        if name not in self._formats:
            return unknown("format", name, self._formats)
        try:
            self._formats[name]
        except Exception as error:  # noqa: BLE001 - another package's module may fail in any way as it is imported
            return f"{name!r} can't be loaded: {type(error).__name__}: {error}"
        return None

    def filters(self) -> Iterator[Problem]:
        """Filters of an APIC by which a fault that is cleared falls out of its subscription."""
        for name, source in self.settings.sources.items():
            for number, one in enumerate(source.subscribe if isinstance(source, ApicSettings) else ()):
                text = (one.filter or "").replace(" ", "")
                if text.count("(") != text.count(")") or text.count('"') % 2:
                    yield self.error(("sources", name, "subscribe", number, "filter"), "lacks a parenthesis or a quote")
                if one.target_class is not None and one.target is None:
                    said = "goes with `target: subtree` or `target: children`"
                    yield self.error(("sources", name, "subscribe", number, "target_class"), said)
                if ("eq(faultInst.severity," in text or "eq(faultInst.lc," in text) and '"cleared"' not in text:
                    said = "a fault that is cleared passes this no more: its end may not be told; `ne` would be right"
                    yield self.warning(("sources", name, "subscribe", number, "filter"), said)

    def clients(self) -> Iterator[Problem]:
        """Accounts and feeds whose connections are less than they could be."""
        found: list[tuple[Path, Account | WebsocketSettings | ApicSettings]] = []
        found += ((("accounts", name), account) for name, account in self.settings.accounts.items())
        found += (
            (("sources", name), source)
            for name, source in self.settings.sources.items()
            if isinstance(source, (WebsocketSettings, ApicSettings))
        )
        for path, client in found:
            if not client.tls.verify:
                yield self.warning((*path, "tls", "verify"), "any certificate is taken: whoever is in between can read")
            if client.proxy is not None and "@" in client.proxy:
                yield self.warning((*path, "proxy"), "a password is written in the file; ${NAME} keeps it out")

    def secrets(self) -> Iterator[Problem]:
        for path, ref in secrets_of(self.settings):
            if ref.origin == "literal" and path[-2:-1] != ("headers",):
                yield self.warning(
                    path, "a secret is written in the file; {env:}, {file:} or {credential:} keep it out"
                )

    def _template(self, path: Path, template: str | None) -> Iterator[Problem]:
        if template is not None and template not in self.names("templates"):
            yield self.error((*path, "template"), unknown("template", template, self.names("templates")))
