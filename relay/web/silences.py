"""Silences and acknowledgements over the admin API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec
from aiohttp import web
from msgspec.structs import asdict

from relay.core.alert import AlertKey
from relay.core.naming import names_of
from relay.core.silencing import LONGEST_TEXT, WITHIN, BadSilenceError, Wish, change_silence, expire, make_silence
from relay.core.suppression import Silence
from relay.core.words import iso, parse_time
from relay.ports import Clock
from relay.web import shapes
from relay.web.answers import BadRequestError, json_answer, problem, read_json_body, read_query
from relay.web.filters import IncidentFilter
from relay.web.operations import Operation

MOST_SILENCES = 10_000
"""Silences that may be active or pending, at most; each change reads all of them."""


class Silences(Protocol):
    """The store of silences. Raises `StoreError`."""

    async def known(self) -> Sequence[Silence]:
        """Return all silences on record."""
        ...

    async def put(self, silences: Sequence[Silence]) -> None:
        """Store silences; each replaces one with the same id."""
        ...


class SilenceBook:
    """Makes, changes and ends silences, for the relay's own API and Alertmanager's.

    Its callers use times by the machine's clock; in the store they are by the relay's own.
    """

    def __init__(self, silences: Silences, new_id: Callable[[], str], clock: Clock) -> None:
        self._silences = silences
        self._new_id = new_id
        self._clock = clock
        self.now = clock.wall
        self.own_now = clock.now
        """The relay's own time, by which silences start and end."""

    async def known(self) -> dict[str, Silence]:
        """Return all silences by id, with times by the machine's clock."""
        return {one.id: one for one in self._shifted(await self._silences.known(), -self._ahead())}

    async def _put(self, silences: Sequence[Silence]) -> None:
        await self._silences.put(self._shifted(silences, self._ahead()))

    def _ahead(self) -> float:
        """Return the seconds by which the relay's own clock is ahead of the machine's; 0 if they are few."""
        ahead = self._clock.now() - self._clock.wall()
        return ahead if abs(ahead) > WITHIN else 0.0

    @staticmethod
    def _shifted(silences: Sequence[Silence], by: float) -> list[Silence]:
        return [
            msgspec.structs.replace(
                one, starts_at=one.starts_at + by, ends_at=one.ends_at + by, updated_at=one.updated_at + by
            )
            if by
            else one
            for one in silences
        ]

    async def put(self, wish: Wish, silence_id: str | None = None) -> str | None:
        """Make a silence, or change the one with an id. Raises `BadSilenceError`.

        Return the silence's id, or None if there is none with `silence_id`.
        """
        now = self.now()
        everything = await self.known()
        if sum(one.state(now) != "expired" for one in everything.values()) >= MOST_SILENCES:
            raise BadSilenceError(f"{MOST_SILENCES:,} silences are active or pending already; expire some first")
        if silence_id is None:
            made = [make_silence(wish, self._new_id(), now)]
        else:
            known = everything.get(silence_id)
            if known is None:
                return None
            made = change_silence(known, wish, self._new_id(), now)
        await self._put(made)
        return made[0].id

    async def expire(self, silence_id: str) -> bool | None:
        """End a silence; return False if it had ended already, None if there is none with this id."""
        known = (await self.known()).get(silence_id)
        if known is None:
            return None
        ended = expire(known, self.now())
        if ended:
            await self._put(ended)
        return bool(ended)


class PostSilence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A silence to make, or to change if `id` is given. Times as RFC 3339."""

    matchers: tuple[str, ...]
    ends_at: str
    created_by: str
    comment: str
    starts_at: str | None = None
    id: str | None = None


class PostAck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of the person who acknowledges an alert, or withdraws that, and a comment."""

    by: str
    comment: str = ""


Acknowledge = Callable[[AlertKey, str, str], Awaitable[None]]
"""Records an acknowledgement or its withdrawal, given the alert's key, a name and a comment. Raises `StoreError`."""


class IncidentQueries(Protocol):
    """The store, as the API reads incidents."""

    async def list_incidents(self, *, ended: bool = False, limit: int = 10_000) -> str:
        """Return open incidents, the worst first, followed by ended ones if asked for, as JSON."""
        ...

    async def key_of_incident(self, number: int) -> AlertKey | None:
        """Return the key of an open incident's alert, or None."""
        ...


class _Listed(msgspec.Struct, frozen=True):
    title: str
    labels: dict[str, str]
    source: str
    key: str


def with_names(document: str) -> list[dict[str, Any]]:
    """Return a JSON list of incidents with the `name` of each (see `names_of`)."""
    incidents: list[dict[str, Any]] = msgspec.json.decode(document)
    alerts = {(one["source"], one["key"]): msgspec.convert(one, _Listed) for one in incidents}
    names = dict(zip(alerts, names_of(list(alerts.values())), strict=True))
    return [{**one, "name": names[one["source"], one["key"]]} for one in incidents]


class SilenceApi:
    """Handlers below `/api/v1`."""

    def __init__(
        self,
        desk: SilenceBook,
        queries: IncidentQueries,
        acknowledge: Acknowledge,
        unacknowledge: Acknowledge,
    ) -> None:
        self._desk = desk
        self._queries = queries
        self._acknowledge = acknowledge
        self._unacknowledge = unacknowledge

    def routes(self) -> list[Operation]:
        """Return the routes."""
        return [
            Operation("GET", "/api/v1/silences", self.get_silences, list[shapes.Silence]),
            Operation("POST", "/api/v1/silences", self.post_silence, shapes.SilenceId, body=PostSilence),
            Operation("POST", "/api/v1/silences/{id}/expire", self.post_expire, shapes.Expired),
            Operation("GET", "/api/v1/incidents", self.get_incidents, list[shapes.Incident], query=IncidentFilter),
            Operation("POST", "/api/v1/incidents/{id}/ack", self.post_ack, shapes.AlertName, body=PostAck),
            Operation("POST", "/api/v1/incidents/{id}/unack", self.post_unack, shapes.AlertName, body=PostAck),
        ]

    async def get_silences(self, _: web.Request) -> web.Response:
        """Return the silences, those that end last first."""
        now = self._desk.now()
        found = sorted((await self._desk.known()).values(), key=lambda one: one.ends_at, reverse=True)
        return json_answer([silence_json(one, now) for one in found])

    async def post_silence(self, request: web.Request) -> web.Response:
        """Make a silence, or change the one with the given id."""
        wanted = await read_json_body(request, PostSilence)
        try:
            silence_id = await self._desk.put(wish_of(wanted), wanted.id)
        except ValueError as error:
            raise BadRequestError(str(error)) from error
        if silence_id is None:
            return problem(404, "not_found", f"no silence has the id {str(wanted.id)[:100]!r}")
        return json_answer({"id": silence_id})

    async def post_expire(self, request: web.Request) -> web.Response:
        """End a silence now."""
        silence_id = request.match_info["id"]
        ended = await self._desk.expire(silence_id)
        if ended is None:
            return problem(404, "not_found", f"no silence has the id {silence_id[:100]!r}")
        return json_answer({"id": silence_id, "expired": ended})

    async def get_incidents(self, request: web.Request) -> web.Response:
        """Return open incidents, the worst first; with `ended=true` those that have ended as well."""
        return json_answer(
            with_names(await self._queries.list_incidents(**asdict(read_query(request, IncidentFilter))))
        )

    async def post_ack(self, request: web.Request) -> web.Response:
        """Acknowledge the alert of an incident, in all rooms."""
        return await self._record(request, self._acknowledge)

    async def post_unack(self, request: web.Request) -> web.Response:
        """Withdraw the acknowledgement of an incident's alert, in all rooms."""
        return await self._record(request, self._unacknowledge)

    async def _record(self, request: web.Request, record: Acknowledge) -> web.Response:
        wanted = await read_json_body(request, PostAck)
        for name, text in (("by", wanted.by), ("comment", wanted.comment)):
            if len(text) > LONGEST_TEXT:
                raise BadRequestError(f"{name}: expected at most {LONGEST_TEXT} characters, found {len(text):,}")
        if not wanted.by.strip():
            raise BadRequestError("by: expected the name of a person, found an empty text")
        number = request.match_info["id"]
        key = (
            await self._queries.key_of_incident(int(number))
            if number.isascii() and number.isdigit() and len(number) < 19
            else None
        )
        if key is None:
            return problem(404, "not_found", f"no incident is open under the number {number[:100]!r}")
        await record(key, wanted.by.strip(), wanted.comment.strip())
        return json_answer({"source": key[0], "key": key[1]})


def wish_of(wanted: PostSilence) -> Wish:
    """Return the wish of a request, with its times parsed. Raises ValueError."""
    return Wish(
        matchers=wanted.matchers,
        ends_at=parse_time(wanted.ends_at),
        created_by=wanted.created_by,
        comment=wanted.comment,
        starts_at=None if wanted.starts_at is None else parse_time(wanted.starts_at),
    )


def silence_json(one: Silence, now: float) -> dict[str, object]:
    """Return a silence in the form of the API, with times as RFC 3339."""
    return {
        "id": one.id,
        "state": one.state(now),
        "matchers": one.matchers,
        "starts_at": iso(one.starts_at),
        "ends_at": iso(one.ends_at),
        "created_by": one.created_by,
        "comment": one.comment,
        "updated_at": iso(one.updated_at),
    }
