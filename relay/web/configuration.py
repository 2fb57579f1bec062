"""The configuration over the admin API: what is in force, how an event would go by it, and its reload."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from aiohttp import web

from relay.web import shapes
from relay.web.answers import BadRequestError, json_answer, problem, read_json_body
from relay.web.operations import Operation


class PostExplain(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A payload to explain: any JSON, as a source would get it, with its headers; or its `text` where it is none."""

    source: str
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    text: str | None = None
    headers: dict[str, str] = {}


class Configured(Protocol):
    """Knows the configuration in force."""

    def document(self) -> Mapping[str, Any]:
        """The configuration, secrets masked, and when it was loaded."""
        ...

    async def rooms(self) -> Sequence[Mapping[str, Any]]:
        """The rooms, each with where it is and how it does. Raises `StoreError`."""
        ...

    async def sources(self) -> Sequence[Mapping[str, Any]]:
        """The sources, each with what it is and how it does. Raises `StoreError`."""
        ...

    def tree(self) -> Mapping[str, Any]:
        """The routing tree."""
        ...

    def explain(self, source: str, payload: bytes, headers: Mapping[str, str]) -> Awaitable[Any]:
        """The trail of a payload.

        Raises KeyError for an unknown source, ValueError for what it would refuse.
        """
        ...

    async def reload(self) -> tuple[bool, Mapping[str, Any]]:
        """Load it anew; whether that went well, and how."""
        ...


class ConfigurationApi:
    """Handlers of the configuration."""

    def __init__(self, configured: Configured) -> None:
        self._configured = configured

    def routes(self) -> list[Operation]:
        """The routes."""
        return [
            Operation("GET", "/api/v1/config", self.get_config, shapes.Config),
            Operation("GET", "/api/v1/rooms", self.get_rooms, list[shapes.Room]),
            Operation("GET", "/api/v1/sources", self.get_sources, list[shapes.Source]),
            Operation("GET", "/api/v1/routes", self.get_routes, shapes.RouteNode),
            Operation("POST", "/api/v1/explain", self.post_explain, list[shapes.Explained], body=PostExplain),
            Operation("POST", "/-/reload", self.post_reload, shapes.Reloaded, others={422: shapes.NotReloaded}),
        ]

    async def get_config(self, _: web.Request) -> web.Response:
        """The configuration in force, secrets masked, and when it was loaded."""
        return json_answer(self._configured.document())

    async def get_rooms(self, _: web.Request) -> web.Response:
        """The rooms: where each is, what waits for it, what is wrong with it."""
        return json_answer(await self._configured.rooms())

    async def get_sources(self, _: web.Request) -> web.Response:
        """The sources: what each is, what waits of it, whether it is heard."""
        return json_answer(await self._configured.sources())

    async def get_routes(self, _: web.Request) -> web.Response:
        """The routing tree in force, what is inherited filled in."""
        return json_answer(self._configured.tree())

    async def post_explain(self, request: web.Request) -> web.Response:
        """The full trail of a payload, without sending: events, routes, rooms, rendered markdown."""
        wanted = await read_json_body(request, PostExplain)
        if (wanted.payload is msgspec.UNSET) == (wanted.text is None):
            raise BadRequestError("one of payload (any JSON) and text would be right")
        body = bytes(wanted.payload) if isinstance(wanted.payload, msgspec.Raw) else str(wanted.text).encode()
        headers = {name.lower(): value for name, value in wanted.headers.items()}
        try:
            return json_answer(await self._configured.explain(wanted.source, body, headers))
        except KeyError:
            return problem(404, "not_found", f"no source is configured as {wanted.source[:100]!r}")
        except ValueError as error:
            return problem(422, "unreadable", str(error))

    async def post_reload(self, _: web.Request) -> web.Response:
        """Load the configuration anew: 200, with what only a restart puts in force; or 422 with all problems."""
        good, said = await self._configured.reload()
        if good:
            return json_answer(said)
        return json_answer({**said, "error": {"code": "refused", "message": "the configuration was not reloaded"}}, 422)
