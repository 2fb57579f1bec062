"""What one key can't show: names that must exist, routes that nothing reaches, doors that stand open."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from relay.core.event import SEVERITIES, STATUSES
from relay.core.matching import BadMatcherError, Matcher, parse_matchers
from relay.core.rules import OPERATOR_SOURCE
from relay.settings.document import Document
from relay.settings.model import RouteSettings, Settings, WebexAccount, WebhookSettings, WebsocketSettings
from relay.settings.problems import Path, Problem, dotted, near
from relay.settings.secrets import secrets_of


def cross_check(settings: Settings, document: Document, formats: Collection[str]) -> list[Problem]:
    """All problems between keys, errors and warnings."""
    check = _Check(settings, document, formats)
    return [*check.listeners(), *check.rooms(), *check.sources(), *check.route(), *check.clients(), *check.secrets()]


class _Check:
    def __init__(self, settings: Settings, document: Document, formats: Collection[str]) -> None:
        self._settings = settings
        self._document = document
        self._formats = formats

    def _error(self, path: Path, message: str) -> Problem:
        return Problem(self._document.mark(path), dotted(path), message)

    def _warning(self, path: Path, message: str) -> Problem:
        return Problem(self._document.mark(path), dotted(path), message, "warning")

    def _names(self, section: str) -> Collection[str]:
        """What is called by name in a section, though something else may be wrong with it."""
        named = self._document.values.get(section)
        return named if isinstance(named, dict) else ()

    def listeners(self) -> Iterator[Problem]:
        listen, operator = self._settings.listen, self._settings.operator
        if not listen.admin.is_loopback and listen.admin_token is None:
            yield self._error(("listen", "admin"), "beyond loopback the admin address needs `listen.admin_token`")
        if listen.admin == listen.events and listen.admin.port != 0:
            yield self._error(("listen", "admin"), "is the events address; they are two")
        if operator is None:
            yield self._warning((), "no `operator.room`: the relay tells its own trouble to the log alone")
        elif operator.room not in self._names("rooms"):
            yield self._error(("operator", "room"), self._unknown("room", operator.room, self._names("rooms")))

    def rooms(self) -> Iterator[Problem]:
        spaces: dict[tuple[str, ...], str] = {}
        for name, room in self._settings.rooms.items():
            if room.account not in self._names("accounts"):
                yield self._error(
                    ("rooms", name, "account"), self._unknown("account", room.account, self._names("accounts"))
                )
            yield from self._template(("rooms", name), room.template)
            space = (room.account, room.id or "", room.title or "", (room.person or "").lower())
            if space in spaces:
                yield self._warning(("rooms", name), f"is the same space as room {spaces[space]!r}")
            spaces.setdefault(space, name)

    def sources(self) -> Iterator[Problem]:
        paths: dict[str, str] = {"/healthz": "health"}
        for name, source in self._settings.sources.items():
            if name == OPERATOR_SOURCE:
                yield self._error(("sources", name), "this name stands for the relay's own events; take another")
            if source.format is not None and source.format not in self._formats:
                yield self._error(("sources", name, "format"), self._unknown("format", source.format, self._formats))
            if not isinstance(source, WebhookSettings):
                continue
            path = source.path or f"/hooks/{name}"
            if path in paths:
                yield self._error(("sources", name), f"listens at {path}, as {paths[path]} does")
            paths[path] = name
            if source.auth is None and not self._settings.listen.events.is_loopback:
                yield self._error(
                    ("sources", name), "beyond loopback a source needs `auth` (or `auth: none`, where that is meant)"
                )

    def route(self) -> Iterator[Problem]:
        root = self._settings.route
        if not root.rooms:
            yield self._error(("route",), "the root needs `rooms`: nothing is unrouted")
        if root.matchers:
            yield self._error(("route", "matchers"), "the root has no matchers: nothing is unrouted")
        if root.continue_:
            yield self._error(("route", "continue"), "the root has no siblings to continue with")
        yield from self._route(root, ("route",))

    def _route(self, route: RouteSettings, path: Path) -> Iterator[Problem]:
        for number, room in enumerate(route.rooms or ()):
            if room not in self._names("rooms"):
                yield self._error((*path, "rooms", number), self._unknown("room", room, self._names("rooms")))
        if route.rooms == ():
            yield self._error((*path, "rooms"), "an empty list; leave the key out to inherit")
        yield from self._template(path, route.template)
        for number, matcher in enumerate(route.matchers):
            try:
                for one in parse_matchers(matcher):
                    yield from self._can_match(one, (*path, "matchers", number))
            except BadMatcherError as error:
                yield self._error((*path, "matchers", number), str(error))
        for number, child in enumerate(route.routes):
            yield from self._route(child, (*path, "routes", number))
        yield from self._reach(route, path)

    def _can_match(self, matcher: Matcher, path: Path) -> Iterator[Problem]:
        """An equality with a word that no event can have."""
        closed: dict[str, Collection[str]] = {
            "severity": SEVERITIES,
            "status": STATUSES,
            "source": (*self._names("sources"), OPERATOR_SOURCE),
        }
        known = closed.get(matcher.name)
        if known is not None and matcher.op in ("=", "!=") and matcher.value not in known:
            said = f"no event has the {matcher.name} {matcher.value[:60]!r}{near(matcher.value, known)}"
            yield self._warning(path, said)

    def _reach(self, route: RouteSettings, path: Path) -> Iterator[Problem]:
        """Children that an earlier sibling leaves nothing for."""
        earlier: list[tuple[int, list[Matcher]]] = []
        for number, child in enumerate(route.routes):
            at = (*path, "routes", number)
            wanted = _matchers(child)
            taker = next((n for n, taken in earlier if all(m in wanted for m in taken)), None)
            if taker is not None:
                yield self._warning(
                    at, f"is never reached: {dotted((*path, 'routes', taker))} takes all that it would match"
                )
            if not child.continue_:
                earlier.append((number, wanted))

    def clients(self) -> Iterator[Problem]:
        """Accounts and feeds whose connections are less than they could be."""
        found: list[tuple[Path, WebexAccount | WebsocketSettings]] = []
        found += ((("accounts", name), account) for name, account in self._settings.accounts.items())
        found += (
            (("sources", name), source)
            for name, source in self._settings.sources.items()
            if isinstance(source, WebsocketSettings)
        )
        for path, client in found:
            if not client.tls.verify:
                yield self._warning(
                    (*path, "tls", "verify"), "any certificate is taken: whoever is in between can read"
                )
            if client.proxy is not None and "@" in client.proxy:
                yield self._warning((*path, "proxy"), "a password is written in the file; ${NAME} keeps it out")

    def secrets(self) -> Iterator[Problem]:
        for path, ref in secrets_of(self._settings):
            if ref.origin == "literal" and path[-2:-1] != ("headers",):
                yield self._warning(
                    path, "a secret is written in the file; {env:}, {file:} or {credential:} keep it out"
                )

    def _template(self, path: Path, template: str | None) -> Iterator[Problem]:
        if template is not None and template not in self._names("templates"):
            yield self._error((*path, "template"), self._unknown("template", template, self._names("templates")))

    @staticmethod
    def _unknown(kind: str, name: str, known: Collection[str]) -> str:
        return f"no {kind} is called {name[:60]!r}{near(name, known)}"


def _matchers(route: RouteSettings) -> list[Matcher]:
    """A route's matchers without their compiled expressions, for comparison; unreadable ones match nothing."""
    found: list[Matcher] = []
    for text in route.matchers:
        try:
            found += [Matcher(m.name, m.op, m.value) for m in parse_matchers(text)]
        except BadMatcherError:
            found.append(Matcher("", "=", text))
    return found
