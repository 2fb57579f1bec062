"""The configuration in force as documents for the page and the API, and explanations of payloads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml

from relay.app.assembly.reading import format_name
from relay.app.running.reload import Reload, Reloader
from relay.app.running.status import StatusBoard
from relay.app.trial.explain import Explanation, as_json, explain_payload
from relay.core.routing import Route
from relay.core.rules import Rules
from relay.core.words import iso
from relay.settings.document import Expanded
from relay.settings.load import Loaded
from relay.settings.problems import problem_json
from relay.settings.secrets import MASK, secrets_of
from relay.settings.sources import PostedSettings
from relay.web.silences import SilenceBook

MOST_EXPLAINED = 100
"""Most events of a payload that are explained."""


class ConfiguredDocuments:
    """Describes the configuration in force."""

    def __init__(
        self,
        reloader: Reloader,
        board: StatusBoard,
        silences: SilenceBook,
        rules: Callable[[], Rules],
        wall: Callable[[], float],
        own: Callable[[Iterable[str]], bool],
    ) -> None:
        """`own` returns whether names belong to an account that the relay posts with."""
        self._reloader = reloader
        self._board = board
        self._silences = silences
        self._rules = rules
        self._wall = wall
        self._own = own
        self._turn = asyncio.Lock()

    @property
    def _loaded(self) -> Loaded:
        return self._reloader.loaded

    def document(self) -> dict[str, Any]:
        """Return the configuration, secrets masked, and the time at which it was loaded."""
        return {
            "file": self._loaded.file,
            "timezone": str(self._loaded.settings.timezone),
            "loaded_at": iso(self._reloader.good_at),
            "hash": self._loaded.digest,
            "yaml": settings_text(self._loaded),
            "last_reload": reload_json(self._reloader.last),
        }

    async def rooms(self) -> list[dict[str, Any]]:
        """Return the rooms, each with its address and state."""
        rooms = self._loaded.settings.rooms
        return [
            {**one, "account": rooms[one["room"]].account, "address": _address(rooms[one["room"]])}
            for one in (await self._board.status())["rooms"]
            if one["room"] in rooms
        ]

    async def sources(self) -> list[dict[str, Any]]:
        """Return the sources, each with its type and state."""
        status, sources = await self._board.status(), self._loaded.settings.sources
        feeds = {one["source"]: one for one in status["feeds"]}
        found = []
        for one in status["sources"]:
            source = sources.get(one["source"])
            if source is not None:
                path = source.path_of(one["source"]) if isinstance(source, PostedSettings) else None
                kind = {"type": source.type, "format": format_name(source), "path": path}
                found.append({**one, **kind, "feed": feeds.get(one["source"])})
        return found

    def tree(self) -> dict[str, Any]:
        """Return the routing tree."""
        return _route(self._rules().root)

    async def explain(self, source: str, payload: bytes, headers: Mapping[str, str]) -> Any:
        """Return the explanations of a payload, one per event, as JSON values.

        Raises KeyError for an unknown source, ValueError for a payload that the source would refuse. Events are
        explained one by one in threads, so that neither the relay nor its stop waits for all of them.
        """
        if source not in self._loaded.settings.sources:
            raise KeyError(source)
        silences = list((await self._silences.known()).values())
        trails = explain_payload(
            self._loaded, source, payload, self._wall(), silences, headers, most=MOST_EXPLAINED, own=self._own
        )
        found: list[Explanation] = []
        while (trail := await self._next(trails)) is not None:
            found.append(trail)
        return as_json(found)

    async def _next(self, trails: Iterator[Explanation]) -> Explanation | None:
        """Explain one event, while no other is explained: many busy threads would slow down the relay's own."""
        async with self._turn:
            return await asyncio.to_thread(next, trails, None)

    async def reload(self) -> tuple[bool, dict[str, Any]]:
        """Load the configuration again; return whether it is good, and the result as JSON values."""
        done = await self._reloader.reload()
        return done.good, reload_json(done)


def reload_json(done: Reload) -> dict[str, Any]:
    """Return the result of a load as JSON values."""
    return {
        "at": iso(done.at),
        "good": done.good,
        "problems": [problem_json(problem) for problem in done.problems],
        "restart_needed": list(done.restart),
    }


def settings_text(loaded: Loaded) -> str:
    """Return the configuration as it was written, all files in one, as YAML without secrets."""
    values = _as_written(loaded.document.values)
    for source in values.get("sources", {}).values():
        if "send" in source:
            source["send"] = _masked(source["send"])
    for path, ref in secrets_of(loaded.settings):
        if ref.origin == "literal":
            _mask(values, path)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def _mask(values: Any, path: tuple[str | int, ...]) -> None:
    """Replace the secret at a path by a mask. A list with one secret may have been written without the list."""
    at = values
    for step, following in zip(path, (*path[1:], None), strict=True):
        if following is None or isinstance(at[step], str):
            at[step] = MASK
            return
        at = at[step]


def _as_written(value: object) -> Any:
    """Return a copy of the values with `${NAME}` as written, and without parts of addresses that may be secret."""
    if isinstance(value, Mapping):
        return {str(name): _as_written(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_written(inner) for inner in value]
    text = value.written if isinstance(value, Expanded) else value
    return _without_secrets(text) if isinstance(text, str) else text


def _masked(value: Any) -> Any:
    """Return the structure of a message to a feed with all values masked: each may be secret."""
    if isinstance(value, dict):
        return {name: _masked(inner) for name, inner in value.items()}
    return [_masked(inner) for inner in value] if isinstance(value, list) else MASK


def _without_secrets(text: str) -> str:
    """Return an address without a user's password and without parameters, which may hold a token."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return text
    if not (parts.scheme and parts.netloc and " " not in text):
        return text
    user = f"{MASK}@" if "@" in parts.netloc else ""
    asked = f"?{MASK}" if parts.query else ""
    return f"{parts.scheme}://{user}{parts.netloc.rpartition('@')[2]}{parts.path}{asked}"


def _address(room: Any) -> str:
    return str(room.title or room.person or room.id)


def _route(route: Route) -> dict[str, Any]:
    policy = route.policy
    return {
        "path": route.path,
        "matchers": [str(matcher) for matcher in route.matchers],
        "rooms": list(route.rooms),
        "continue": route.continues,
        "template": route.template,
        "group_by": None if policy.group_by is None else list(policy.group_by),
        "muted_in": list(policy.mute),
        "active_in": list(policy.active),
        "routes": [_route(child) for child in route.routes],
    }
