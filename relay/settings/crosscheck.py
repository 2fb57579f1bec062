"""What one key can't show: names that must exist, doors that stand open."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from relay.core.rules import OPERATOR_SOURCE
from relay.settings.document import Document
from relay.settings.model import PostedSettings, Settings, WebexAccount, WebsocketSettings
from relay.settings.problems import Path, Problem, dotted, unknown
from relay.settings.routecheck import check_routes
from relay.settings.secrets import secrets_of


def cross_check(settings: Settings, document: Document, formats: Collection[str]) -> list[Problem]:
    """All problems between keys, errors and warnings."""
    check = _Check(settings, document, formats)
    routes = check_routes(settings, document)
    return [*check.listeners(), *check.rooms(), *check.sources(), *routes, *check.clients(), *check.secrets()]


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
            yield self._error(("operator", "room"), unknown("room", operator.room, self._names("rooms")))

    def rooms(self) -> Iterator[Problem]:
        spaces: dict[tuple[str, ...], str] = {}
        for name, room in self._settings.rooms.items():
            if room.account not in self._names("accounts"):
                yield self._error(("rooms", name, "account"), unknown("account", room.account, self._names("accounts")))
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
                yield self._error(("sources", name, "format"), unknown("format", source.format, self._formats))
            if not isinstance(source, PostedSettings):
                continue
            path = source.path_of(name)
            if path in paths:
                yield self._error(("sources", name), f"listens at {path}, as {paths[path]} does")
            paths[path] = name
            if source.auth is None and not self._settings.listen.events.is_loopback:
                yield self._error(
                    ("sources", name), "beyond loopback a source needs `auth` (or `auth: none`, where that is meant)"
                )

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
            yield self._error((*path, "template"), unknown("template", template, self._names("templates")))
