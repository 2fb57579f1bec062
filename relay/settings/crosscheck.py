"""Checks between keys: names that must exist, and addresses that are open to strangers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relay.core.event import OPERATOR_SOURCE
from relay.settings.accounts import Account, SpikaAccount
from relay.settings.checking import Check
from relay.settings.document import Document
from relay.settings.model import Settings
from relay.settings.problems import Path, Problem, unknown
from relay.settings.rooms import Room
from relay.settings.routecheck import check_routes
from relay.settings.secrets import secrets_of
from relay.settings.sources import ApicSettings, PostedSettings, WebsocketSettings
from relay.settings.types import Address


def cross_check(settings: Settings, document: Document, formats: Mapping[str, object]) -> list[Problem]:
    """Return all problems between keys, errors and warnings."""
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
    """Return a problem for each address that lets strangers in.

    The addresses are those of the process, which may differ from the configured ones.
    """
    return list(_Check(settings, document, {}).doors(events, admin))


class _Check(Check):
    def __init__(self, settings: Settings, document: Document, formats: Mapping[str, object]) -> None:
        super().__init__(settings, document)
        self._formats = formats

    def doors(self, events: Address, admin: Address) -> Iterator[Problem]:
        """Yield a problem for each setting that lets strangers in at these addresses."""
        listen = self.settings.listen
        if not admin.is_loopback and listen.admin_token is None:
            it = "the admin address" if admin == listen.admin else f"the admin address ({admin} until a restart)"
            yield self.error(("listen", "admin"), f"{it} is not on loopback, so it needs `listen.admin_token`")
        at = "" if events == listen.events else f" (this process listens at {events})"
        for name, source in self.settings.sources.items():
            if isinstance(source, PostedSettings) and source.auth is None and not events.is_loopback:
                message = f"the events address is not on loopback{at}, so a source needs `auth`"
                yield self.error(("sources", name), f"{message}; write `auth: none` if anyone may post")

    def listeners(self) -> Iterator[Problem]:
        listen, operator = self.settings.listen, self.settings.operator
        yield from self.doors(listen.events, listen.admin)
        if listen.admin == listen.events and listen.admin.port != 0:
            yield self.error(("listen", "admin"), "is also the events address; give them different addresses")
        if operator is None:
            yield self.warning((), "no `operator.room`: the relay reports its own problems only in the log")
        else:
            yield from self.named(("operator", "room"), "rooms", operator.room)

    def rooms(self) -> Iterator[Problem]:
        spaces: dict[tuple[str, ...], str] = {}
        for name, room in self.settings.rooms.items():
            yield from self.named(("rooms", name, "account"), "accounts", room.account)
            if room.template is not None:
                yield from self.named(("rooms", name, "template"), "templates", room.template)
            account = self.settings.accounts.get(room.account)
            if isinstance(account, SpikaAccount) and not (room.id or "").isdecimal():
                yield self.error(("rooms", name), "a room of a Spika account needs an `id`, which is a number")
            space = (room.account, room.id or "", room.title or "", (room.person or "").lower())
            if space in spaces:
                yield self.warning(("rooms", name), f"is the same space as room {spaces[space]!r}")
            spaces.setdefault(space, name)
            yield from self._fallback(name, room)

    def _fallback(self, name: str, room: Room) -> Iterator[Problem]:
        rooms, path = self.settings.rooms, ("rooms", name, "fallback")
        if room.fallback is None:
            return
        yield from self.named(path, "rooms", room.fallback)
        if room.fallback not in rooms:
            return
        way = [name]
        while (following := rooms[way[-1]].fallback) in rooms and following not in way:
            way.append(str(following))
        if following == name:
            yield self.error(path, f"the fallbacks form a circle: {' → '.join([*way, name])}")
        elif rooms[room.fallback].account == room.account:
            message = f"is a room of the same account, {room.account}: if that is refused or down, both rooms are"
            yield self.warning(path, message)

    def sources(self) -> Iterator[Problem]:
        paths: dict[str, str] = {"/healthz": "health"}
        for name, source in self.settings.sources.items():
            if name == OPERATOR_SOURCE:
                yield self.error(("sources", name), "this name is reserved for the relay's own events; choose another")
            if source.silent_after is not None and self.settings.operator is None:
                message = "nobody is notified without an `operator.room`"
                yield self.warning(("sources", name, "silent_after"), message)
            if source.format is not None and (wrong := self._format_trouble(source.format)) is not None:
                yield self.error(("sources", name, "format"), wrong)
            if not isinstance(source, PostedSettings):
                continue
            path = source.path_of(name)
            if path in paths:
                yield self.error(("sources", name), f"listens at {path}, and so does {paths[path]}; change one path")
            paths[path] = name

    def _format_trouble(self, name: str) -> str | None:
        """Return why a format can't be used, or None if it can."""
        if name not in self._formats:
            return unknown("format", name, self._formats)
        try:
            self._formats[name]
        except Exception as error:  # noqa: BLE001 - another package's module may fail in any way as it is imported
            return f"{name!r} can't be loaded: {type(error).__name__}: {error}"
        return None

    def filters(self) -> Iterator[Problem]:
        """Yield problems of APIC filters, like one that loses a fault from its subscription when it is cleared."""
        for name, source in self.settings.sources.items():
            for number, one in enumerate(source.subscribe if isinstance(source, ApicSettings) else ()):
                text = (one.filter or "").replace(" ", "")
                if text.count("(") != text.count(")") or text.count('"') % 2:
                    message = "a parenthesis or a quote is missing"
                    yield self.error(("sources", name, "subscribe", number, "filter"), message)
                if one.target_class is not None and one.target is None:
                    message = "works only with `target: subtree` or `target: children`; add one"
                    yield self.error(("sources", name, "subscribe", number, "target_class"), message)
                if ("eq(faultInst.severity," in text or "eq(faultInst.lc," in text) and '"cleared"' not in text:
                    message = "a cleared fault no longer matches this filter, so its end may be missed; use `ne`"
                    yield self.warning(("sources", name, "subscribe", number, "filter"), message)

    def clients(self) -> Iterator[Problem]:
        """Yield warnings for accounts and feeds whose connections are less safe than they could be."""
        found: list[tuple[Path, Account | WebsocketSettings | ApicSettings]] = []
        found += ((("accounts", name), account) for name, account in self.settings.accounts.items())
        found += (
            (("sources", name), source)
            for name, source in self.settings.sources.items()
            if isinstance(source, (WebsocketSettings, ApicSettings))
        )
        for path, client in found:
            if not client.tls.verify:
                message = "any certificate is accepted, so anyone on the way can read the traffic"
                yield self.warning((*path, "tls", "verify"), message)
            if client.proxy is not None and "@" in client.proxy:
                yield self.warning((*path, "proxy"), "a password is in the file; use ${NAME} to keep it out")

    def secrets(self) -> Iterator[Problem]:
        for path, ref in secrets_of(self.settings):
            if ref.origin == "literal" and path[-2:-1] != ("headers",):
                yield self.warning(
                    path, "a secret is in the file; use {env: NAME}, {file: PATH} or {credential: NAME} to keep it out"
                )
