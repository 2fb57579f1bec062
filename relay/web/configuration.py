"""The configuration's part of the admin API: the one in force, the trail of an event through it, and its reload."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from aiohttp import web

from relay.core.reasons import REASONS
from relay.web import shapes
from relay.web.answers import BadRequestError, json_answer, problem, read_json_body
from relay.web.operations import Operation


class PostExplain(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A payload to explain, as a source would get it with its headers: any JSON, or as `text` if it is not JSON."""

    source: str
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    text: str | None = None
    headers: dict[str, str] = {}


class Configured(Protocol):
    """The configuration in force."""

    def document(self) -> Mapping[str, Any]:
        """Return the configuration, secrets masked, and when it was loaded."""
        ...

    async def rooms(self) -> Sequence[Mapping[str, Any]]:
        """Return the rooms, each with its address and its state. Raises `StoreError`."""
        ...

    async def sources(self) -> Sequence[Mapping[str, Any]]:
        """Return the sources, each with its settings and its state. Raises `StoreError`."""
        ...

    def tree(self) -> Mapping[str, Any]:
        """Return the routing tree."""
        ...

    def explain(self, source: str, payload: bytes, headers: Mapping[str, str]) -> Awaitable[Any]:
        """Return the trail of a payload.

        Raises KeyError for an unknown source, ValueError for a payload that it would refuse.
        """
        ...

    async def reload(self) -> tuple[bool, Mapping[str, Any]]:
        """Load the configuration anew; return whether that succeeded, and a report."""
        ...


class ConfigurationApi:
    """Handlers of the configuration."""

    def __init__(self, configured: Configured) -> None:
        self._configured = configured

    def routes(self) -> list[Operation]:
        """Return the routes."""
        return [
            Operation("GET", "/api/v1/config", self.get_config, shapes.Config),
            Operation("GET", "/api/v1/rooms", self.get_rooms, list[shapes.Room]),
            Operation("GET", "/api/v1/sources", self.get_sources, list[shapes.Source]),
            Operation("GET", "/api/v1/routes", self.get_routes, shapes.RouteNode),
            Operation("GET", "/api/v1/reasons", self.get_reasons, dict[str, str]),
            Operation("POST", "/api/v1/explain", self.post_explain, list[shapes.Explained], body=PostExplain),
            Operation("POST", "/-/reload", self.post_reload, shapes.Reloaded, others={422: shapes.NotReloaded}),
        ]

    async def get_config(self, _: web.Request) -> web.Response:
        """Return the configuration in force, secrets masked, and when it was loaded."""
        return json_answer(self._configured.document())

    async def get_rooms(self, _: web.Request) -> web.Response:
        """Return the rooms, each with its address, its waiting deliveries and its trouble."""
        return json_answer(await self._configured.rooms())

    async def get_sources(self, _: web.Request) -> web.Response:
        """Return the sources, each with its type, its waiting events and whether it is silent."""
        return json_answer(await self._configured.sources())

    async def get_routes(self, _: web.Request) -> web.Response:
        """Return the routing tree in force, with inherited values filled in."""
        return json_answer(self._configured.tree())

    async def get_reasons(self, _: web.Request) -> web.Response:
        """Return the words that say why an event changed no message (`suppressed`, `held`), each with its sentence."""
        return json_answer(REASONS)

    async def post_explain(self, request: web.Request) -> web.Response:
        """Return the full trail of a payload, without sending: events, routes, rooms, rendered markdown."""
        wanted = await read_json_body(request, PostExplain)
        if (wanted.payload is msgspec.UNSET) == (wanted.text is None):
            found = "neither" if wanted.text is None else "both"
            raise BadRequestError(f"expected one of payload (any JSON) and text, found {found}")
        body = bytes(wanted.payload) if isinstance(wanted.payload, msgspec.Raw) else str(wanted.text).encode()
        headers = {name.lower(): value for name, value in wanted.headers.items()}
        try:
            return json_answer(await self._configured.explain(wanted.source, body, headers))
        except KeyError:
            return problem(404, "not_found", f"no source is configured as {wanted.source[:100]!r}")
        except ValueError as error:
            return problem(422, "unreadable", str(error))

    async def post_reload(self, _: web.Request) -> web.Response:
        """Load the configuration anew: 200 with the changes that need a restart, or 422 with all problems."""
        good, report = await self._configured.reload()
        if good:
            return json_answer(report)
        error = {"code": "refused", "message": "the configuration was not reloaded"}
        return json_answer({**report, "error": error}, 422)
