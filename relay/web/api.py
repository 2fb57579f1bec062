"""The admin API under `/api/v1`, by which the command line reads and changes the state of a running daemon."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import PurePosixPath
from tempfile import TemporaryFile
from typing import BinaryIO, Literal, Protocol

import msgspec
from aiohttp import web
from msgspec.structs import asdict

from relay.core.card import misfit
from relay.core.delivery import Outcome
from relay.core.markdown import one_line
from relay.ports import LARGEST_FILE, File, SendNow
from relay.web import shapes
from relay.web.answers import BadRequestError, json_answer, problem, read_json_body, read_query, text_answer
from relay.web.filters import DeliveryFilter, EventFilter, RowId
from relay.web.operations import Operation

UPLOAD_TIMEOUT = 300.0
"""Seconds that a file may take to arrive."""


Verb = Literal["retry", "drop"]
Change = Callable[[Verb, Sequence[int], float], Awaitable[list[tuple[int, str]]]]
"""Retries or drops deliveries, given their ids and a time in Unix seconds; returns ids and rooms of those changed."""


class Queries(Protocol):
    """The store, as the API reads it."""

    async def list_events(
        self, *, source: str | None = None, after: int = 0, limit: int = 100, refused: bool = False
    ) -> str:
        """Return events (or refused payloads), newest first, as JSON."""
        ...

    async def show_event(self, event_id: str) -> str:
        """Return one event with its payload as JSON, or `null`."""
        ...

    async def list_deliveries(
        self,
        *,
        ids: Sequence[int] | None = None,
        event: str | None = None,
        state: Sequence[str] | None = None,
        room: str | None = None,
        reason: str | None = None,
        created_before: float | None = None,
        limit: int = 100,
    ) -> str:
        """Return deliveries, newest first, as JSON."""
        ...


class PostChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Deliveries to retry or drop."""

    ids: tuple[RowId, ...]


class FileQuery(msgspec.Struct, frozen=True):
    """The name of a file, and the id of the message whose thread it is posted to."""

    name: str = "file"
    parent: str | None = None


class Api:
    """Handlers of the API."""

    def __init__(
        self,
        queries: Queries,
        change: Change,
        status: Callable[[], Awaitable[Mapping[str, object]]],
        changed: Callable[[Literal["retry", "drop"], Sequence[str]], Awaitable[None]],
        send: Callable[[SendNow, File | None], Awaitable[Outcome]],
        rooms: Callable[[], Collection[str]],
        now: Callable[[], float],
    ) -> None:
        """Prepare the handlers.

        `changed` is called with the verb and the rooms of deliveries that were changed by hand. `send` posts a message
        at once, past the queue. `now` returns the time in seconds.
        """
        self._queries = queries
        self._change = change
        self._status = status
        self._changed = changed
        self._send = send
        self._rooms = rooms
        self._now = now

    def routes(self) -> list[Operation]:
        """Return the API's routes."""
        return [
            Operation("GET", "/api/v1/status", self.get_status, shapes.RelayStatus),
            Operation(
                "GET", "/api/v1/events", self.get_events, (list[shapes.Event], list[shapes.Refused]), query=EventFilter
            ),
            Operation("GET", "/api/v1/events/{id}", self.get_event, shapes.WholeEvent),
            Operation("GET", "/api/v1/deliveries", self.get_deliveries, list[shapes.Delivery], query=DeliveryFilter),
            Operation(
                "POST", "/api/v1/deliveries/{verb:retry|drop}", self.post_change, shapes.Changed, body=PostChange
            ),
            Operation("POST", "/api/v1/messages", self.post_message, shapes.Outcome, body=SendNow),
            Operation("POST", "/api/v1/rooms/{room}/files", self.post_file, shapes.Outcome, raw=True, query=FileQuery),
        ]

    async def get_status(self, _: web.Request) -> web.Response:
        """Return one screen's worth of state."""
        return json_answer(await self._status())

    async def get_events(self, request: web.Request) -> web.Response:
        """Return events, newest first; filters as query parameters."""
        return text_answer(await self._queries.list_events(**asdict(read_query(request, EventFilter))))

    async def get_event(self, request: web.Request) -> web.Response:
        """Return one event with its payload and deliveries."""
        event_id = request.match_info["id"]
        found = await self._queries.show_event(event_id)
        if found == "null":
            return problem(404, "not_found", f"no event has the id {event_id[:100]!r}")
        deliveries = await self._queries.list_deliveries(event=event_id, limit=1_000)
        return json_answer({**msgspec.json.decode(found), "deliveries": msgspec.Raw(deliveries.encode())})

    async def get_deliveries(self, request: web.Request) -> web.Response:
        """Return deliveries, newest first; filters as query parameters."""
        return text_answer(await self._queries.list_deliveries(**asdict(read_query(request, DeliveryFilter))))

    async def post_change(self, request: web.Request) -> web.Response:
        """Retry or drop deliveries by id."""
        verb: Verb = "retry" if request.match_info["verb"] == "retry" else "drop"
        wanted = await read_json_body(request, PostChange)
        changed = await self._change(verb, wanted.ids, self._now())
        await self._changed(verb, [room for _, room in changed])
        return json_answer({"changed": [number for number, _ in changed]})

    async def post_message(self, request: web.Request) -> web.Response:
        """Post a message at once, through the room's own sender."""
        wanted = await read_json_body(request, SendNow)
        if wanted.room not in self._rooms():
            return problem(404, "not_found", f"no room is configured as {wanted.room[:100]!r}")
        if wanted.card is not None and (wrong := misfit(wanted.card)) is not None:
            raise BadRequestError(f"card: {wrong}")
        if not wanted.markdown.strip() and wanted.link is None:
            raise BadRequestError("expected markdown or a link to post, found neither")
        return _outcome_answer(await self._send(wanted, None))

    async def post_file(self, request: web.Request) -> web.Response:
        """Post the body as a file under the query's `name`; in the thread of the message `parent` if given."""
        room, wanted = request.match_info["room"], read_query(request, FileQuery)
        if room not in self._rooms():
            return problem(404, "not_found", f"no room is configured as {room[:100]!r}")
        too_large = problem(413, "too_large", f"the file is larger than {LARGEST_FILE:,} bytes")
        if (request.content_length or 0) > LARGEST_FILE:
            return too_large
        with TemporaryFile() as kept:
            try:
                async with asyncio.timeout(UPLOAD_TIMEOUT):
                    whole = await _receive(request, kept)
            except TimeoutError as error:
                raise BadRequestError(f"the file did not arrive within {UPLOAD_TIMEOUT:g} s") from error
            except OSError as error:
                return problem(503, "no_room", f"the file can't be written to a temporary file: {error.strerror}")
            if not whole:
                return too_large

            def opened() -> BinaryIO:
                kept.seek(0)
                return os.fdopen(os.dup(kept.fileno()), "rb")

            file = File(
                name=one_line(PurePosixPath(wanted.name).name, 200) or "file",
                content_type=request.content_type,
                open=opened,
            )
            return _outcome_answer(await self._send(SendNow(room=room, parent=wanted.parent), file))


async def _receive(request: web.Request, kept: BinaryIO) -> bool:
    """Write a request's body to `kept`; return False if it is too large. Raises OSError."""
    async for chunk in request.content.iter_chunked(65_536):
        kept.write(chunk)
        if kept.tell() > LARGEST_FILE:
            return False
    return True


def _outcome_answer(outcome: Outcome) -> web.Response:
    return json_answer({"outcome": type(outcome).__name__.lower(), **msgspec.to_builtins(outcome)})
