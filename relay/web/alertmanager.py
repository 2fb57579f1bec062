"""Alertmanager's API v2 for silences, alerts and status, so that amtool, karma and Grafana work on the relay.

Source: prometheus/alertmanager, `api/v2/openapi.yaml`. Errors are JSON texts, as Alertmanager's own are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
from aiohttp import web

from relay.core.alert import Alert, AlertKey
from relay.core.fingerprint import fingerprint
from relay.core.group import group_key
from relay.core.incident import Policy
from relay.core.matching import BadMatcherError, Matcher, make_matcher, parse_matchers, view_of
from relay.core.routing import Destination, destinations, resolve, walk
from relay.core.rules import Rules
from relay.core.silencing import BadSilenceError, Wish
from relay.core.suppression import Silence, Suppressor
from relay.core.words import parse_time
from relay.web.alertmanager_forms import (
    NOBODY,
    PostedSilence,
    Shown,
    Suppressed,
    alert_document,
    labels_of,
    silence_document,
    status_document,
)
from relay.web.answers import BadRequestError, json_answer, problem, read_json_body
from relay.web.silences import SilenceBook

SLICE = 100
"""Alerts to filter before other tasks get a turn, so that a request for all of them delays nobody."""
ELSEWHERE = (
    "alerts are posted to the events address (`listen.events`), at /api/v2/alerts of a source of type alertmanager-api"
)
OUTDATED = "this is Alertmanager's API v1, which is gone; use the same path below /api/v2"
DOWNTIME = "downtime"
"""The name in `mutedBy` of a downtime in which the alert's source holds it back."""
_YES = frozenset(("true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"))
"""Words for true in a query; any other is false. Source: go-openapi/swag, `ConvertBool`."""
_KINDS = ("active", "silenced", "inhibited", "muted")
_V1 = ("alerts", "alerts/groups", "receivers", "silence/{id}")
"""Paths of Alertmanager's API v1 that the relay's own API does not have."""


class Alerts(Protocol):
    """The alerts on record. Raises `StoreError`."""

    async def open_alerts(self) -> Sequence[Alert]:
        """Return all alerts that fire, and those that flap and have ended for now."""
        ...

    async def keys_in_downtime(self) -> Sequence[AlertKey]:
        """Return the open alerts that their sources hold back in a downtime."""
        ...


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts that a request asks for."""

    matchers: Sequence[Matcher]
    receiver: Matcher
    active: bool
    silenced: bool
    inhibited: bool
    muted: bool

    def wants_room(self, room: str) -> bool:
        """Return whether it asks for the alerts of a room."""
        return self.receiver.matches({"receiver": room})


class AlertmanagerApi:
    """Handlers below `/api/v2`."""

    def __init__(
        self,
        desk: SilenceBook,
        alerts: Alerts,
        suppressor: Suppressor,
        rules: Callable[[], Rules],
        started_at: float,
        version: Callable[[], str],
    ) -> None:
        """Prepare the handlers.

        `suppressor` knows what suppresses alerts, `rules` returns those in force; `started_at` in Unix seconds;
        `version` returns that of the Alertmanager whose API is spoken.
        """
        self._desk = desk
        self._alerts = alerts
        self._suppressor = suppressor
        self._rules = rules
        self._started_at = started_at
        self._version = version

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/v2/status", self.get_status),
            web.get("/api/v2/receivers", self.get_receivers),
            web.get("/api/v2/alerts", self.get_alerts),
            web.post("/api/v2/alerts", self.post_alerts),
            web.get("/api/v2/alerts/groups", self.get_groups),
            web.get("/api/v2/silences", self.get_silences),
            web.post("/api/v2/silences", self.post_silence),
            web.get("/api/v2/silence/{id}", self.get_silence),
            web.delete("/api/v2/silence/{id}", self.delete_silence),
            *(web.route("*", f"/api/v1/{path}", self.refuse_v1) for path in _V1),
        ]

    async def refuse_v1(self, _: web.Request) -> web.Response:
        """Answer a client of Alertmanager's API v1, which Alertmanager itself has removed."""
        return problem(404, "not_found", OUTDATED)

    async def get_status(self, _: web.Request) -> web.Response:
        """Return version, start time, and the routing tree in Alertmanager's form."""
        return json_answer(status_document(self._rules(), self._started_at, self._version()))

    async def get_receivers(self, _: web.Request) -> web.Response:
        """Return the rooms, and `NOBODY` if a route has none."""
        nobody = () if all(route.rooms for route in walk(self._rules().root)) else (NOBODY,)
        return json_answer([{"name": name} for name in (*self._rules().rooms, *nobody)])

    async def post_alerts(self, _: web.Request) -> web.Response:
        """Refuse alerts, which come in at the other address."""
        return json_answer(ELSEWHERE, 400)

    async def get_alerts(self, request: web.Request) -> web.Response:
        """Return the open alerts, filtered by `filter`, `receiver`, `active`, `silenced`, `inhibited`."""
        try:
            asked = _asked(request)
        except BadMatcherError as error:
            return json_answer(str(error), 400)
        found = [alert_document(one, self._rules(), self._ahead()) async for one in self._shown(asked)]
        return json_answer(sorted(found, key=lambda one: one["fingerprint"]))

    async def get_groups(self, request: web.Request) -> web.Response:
        """Return the same alerts by room and by the labels of their routes' `group_by`, also filtered by `muted`."""
        groups: dict[str, dict[str, Any]] = {}
        try:
            asked = _asked(request)
        except BadMatcherError as error:
            return json_answer(str(error), 400)
        async for one in self._shown(asked):
            self._group(one, asked, groups)
        for group in groups.values():
            group["alerts"].sort(key=lambda alert: alert["fingerprint"])
        return json_answer(sorted(groups.values(), key=_order))

    def _group(self, one: Shown, asked: Asked, groups: dict[str, dict[str, Any]]) -> None:
        """Add an alert to its groups, by a text that identifies each."""
        for room, key, labels in _groups_of(one):
            if asked.wants_room(room) and (asked.muted or not one.muted.get(room)):
                empty = {"labels": labels, "receiver": {"name": room}, "alerts": []}
                document = alert_document(one, self._rules(), self._ahead(), room)
                groups.setdefault(key, empty)["alerts"].append(document)

    def _ahead(self) -> float:
        return self._desk.own_now() - self._desk.now()

    async def _shown(self, asked: Asked) -> AsyncIterator[Shown]:
        """Yield the alerts that a request asks for."""
        alerts = {(alert.source, alert.key): alert for alert in await self._alerts.open_alerts()}
        downtimes = set(await self._alerts.keys_in_downtime())
        for number, alert in enumerate(alerts.values()):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)  # noqa: TID251 - not to wait, but to give other tasks a turn
            view = view_of(alert)
            silenced, inhibited = self._suppressor.held_by(view, self._desk.own_now())
            targets = destinations(resolve(self._rules().root, view))
            wanted = (
                all(matcher.matches(view) for matcher in asked.matchers)
                and any(asked.wants_room(room) for room in [one.room for one in targets] or (NOBODY,))
                and (asked.silenced or not silenced)
                and (asked.inhibited or not inhibited)
                and (asked.active or bool(silenced or inhibited))
            )
            if wanted:
                by = [fingerprint(labels_of(alerts[key])) for key in inhibited if key in alerts]
                muted = {target.room: self._muted_by(target) for target in targets}
                if (alert.source, alert.key) in downtimes:
                    muted = {room: (DOWNTIME, *names) for room, names in muted.items()}
                yield Shown(alert=alert, targets=targets, by=Suppressed(silences=silenced, alerts=by), muted=muted)

    def _muted_by(self, target: Destination) -> Sequence[str]:
        """Return the intervals that mute a room now. It is muted only if all routes that lead to it are."""
        found = [self._intervals_of(route.policy) for route in (target.route, *target.others)]
        return found[0] if all(found) else ()

    def _intervals_of(self, policy: Policy) -> Sequence[str]:
        now = self._desk.own_now()
        if policy.active and self._suppressor.muted((), policy.active, now) is not None:
            return policy.active
        return [name for name in policy.mute if self._suppressor.muted((name,), (), now) is not None]

    async def get_silences(self, request: web.Request) -> web.Response:
        """Return the silences whose matchers the filters match, active ones first."""
        try:
            wanted = _filters(request)
        except BadMatcherError as error:
            return json_answer(str(error), 400)
        now = self._desk.now()
        order = ("active", "pending", "expired")
        found = [one for one in (await self._desk.known()).values() if _silence_matches(one, wanted)]
        found.sort(key=lambda one: (order.index(one.state(now)), one.ends_at))
        return json_answer([silence_document(one, now) for one in found])

    async def post_silence(self, request: web.Request) -> web.Response:
        """Make a silence, or change the one with the given id."""
        try:
            wanted = await read_json_body(request, PostedSilence)
            wish = Wish(
                matchers=tuple(one.text() for one in wanted.matchers),
                starts_at=parse_time(wanted.startsAt),
                ends_at=parse_time(wanted.endsAt),
                created_by=wanted.createdBy,
                comment=wanted.comment,
            )
            silence_id = await self._desk.put(wish, wanted.id or None)
        except (BadSilenceError, BadMatcherError) as error:
            return json_answer(f"silence invalid: {error}", 400)
        except (BadRequestError, ValueError) as error:
            return json_answer({"code": 400, "message": str(error)}, 400)
        if silence_id is None:
            return json_answer("silence not found", 404)
        return json_answer({"silenceID": silence_id})

    async def get_silence(self, request: web.Request) -> web.Response:
        """Return one silence."""
        found = (await self._desk.known()).get(request.match_info["id"])
        return web.Response(status=404) if found is None else json_answer(silence_document(found, self._desk.now()))

    async def delete_silence(self, request: web.Request) -> web.Response:
        """End a silence."""
        ended = await self._desk.expire(request.match_info["id"])
        if ended is None:
            return web.Response(status=404)
        return web.Response(status=200) if ended else json_answer("silence already expired", 500)


def _groups_of(one: Shown) -> list[tuple[str, str, dict[str, str]]]:
    """Return the groups of an alert: the room, a text that identifies the group, and the labels of each."""
    if not one.targets:
        return [(NOBODY, "", {})]
    keys = [group_key(one.alert, target) for target in one.targets]
    return [(key.room, key.id, key.labels or {}) for key in keys]


def _order(group: dict[str, Any]) -> tuple[object, ...]:
    return sorted(group["labels"].items()), group["receiver"]["name"]


def _asked(request: web.Request) -> Asked:
    """Return what a request asks for. Raises `BadMatcherError`."""
    query = request.query
    try:
        receiver = make_matcher("receiver", "=~", query.get("receiver") or ".*")
    except BadMatcherError as error:
        raise BadMatcherError(f"failed to parse receiver param: {error}") from error
    shown = {name: (query.get(name) or "true").lower() in _YES for name in _KINDS}
    return Asked(matchers=_filters(request), receiver=receiver, **shown)


def _filters(request: web.Request) -> list[Matcher]:
    try:
        return [matcher for text in request.query.getall("filter", []) for matcher in parse_matchers(text)]
    except BadMatcherError as error:
        raise BadMatcherError(f"bad matcher format: {error}") from error


def _silence_matches(silence: Silence, wanted: Iterable[Matcher]) -> bool:
    """Return whether all filters match the names and values of a silence's matchers, as in Alertmanager."""
    values = {m.name: m.value for text in silence.matchers for m in parse_matchers(text)}
    return all(matcher.matches(values) for matcher in wanted)
