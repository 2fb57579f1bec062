"""Alertmanager's API v2 for silences, alerts and status, so that amtool, karma and Grafana work on the relay.

Source: prometheus/alertmanager, `api/v2/openapi.yaml`. Errors are JSON texts, as Alertmanager's own are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import yaml
from aiohttp import web

from relay import __version__
from relay.core.alert import Alert
from relay.core.fingerprint import fingerprint
from relay.core.matching import BadMatcherError, Matcher, make_matcher, parse_matchers, view_of
from relay.core.routing import Route, destinations, resolve, walk
from relay.core.rules import Rules
from relay.core.silencing import BadSilenceError, Wish
from relay.core.suppression import Silence, Suppressor
from relay.core.words import iso, parse_time
from relay.web.answers import BadRequestError, json_answer, read_json_body
from relay.web.silences import SilenceBook

_OPERATORS = {"=": (False, True), "!=": (False, False), "=~": (True, True), "!~": (True, False)}
"""(isRegex, isEqual) of each operator."""


SLICE = 100
"""Alerts to filter before other tasks get a turn, so that a request for all of them delays nobody."""


class _Matcher(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: str
    isRegex: bool  # noqa: N815 - Alertmanager's names
    isEqual: bool = True  # noqa: N815

    def text(self) -> str:
        """Return the matcher in its written form, like `site="ams"`."""
        operator = next(op for op, kind in _OPERATORS.items() if kind == (self.isRegex, self.isEqual))
        return str(make_matcher(self.name, operator, self.value))  # type: ignore[arg-type]  # one of the four


class _Silence(msgspec.Struct, frozen=True, kw_only=True):
    matchers: tuple[_Matcher, ...]
    startsAt: str  # noqa: N815
    endsAt: str  # noqa: N815
    createdBy: str  # noqa: N815
    comment: str
    id: str | None = None


NOBODY = "(nobody)"
"""The receiver's name for a route without rooms."""


class AlertmanagerApi:
    """Handlers below `/api/v2`."""

    def __init__(
        self,
        desk: SilenceBook,
        alerts: Callable[[], Awaitable[list[Alert]]],
        suppressor: Suppressor,
        rules: Callable[[], Rules],
        started_at: float,
    ) -> None:
        """Prepare the handlers.

        `alerts` returns those that fire, `suppressor` knows what suppresses them, `rules` returns those in force;
        `started_at` in Unix seconds.
        """
        self._desk = desk
        self._alerts = alerts
        self._suppressor = suppressor
        self._rules = rules
        self._started_at = started_at

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/v2/status", self.get_status),
            web.get("/api/v2/receivers", self.get_receivers),
            web.get("/api/v2/alerts", self.get_alerts),
            web.get("/api/v2/alerts/groups", self.get_groups),
            web.get("/api/v2/silences", self.get_silences),
            web.post("/api/v2/silences", self.post_silence),
            web.get("/api/v2/silence/{id}", self.get_silence),
            web.delete("/api/v2/silence/{id}", self.delete_silence),
        ]

    async def get_status(self, _: web.Request) -> web.Response:
        """Return version, start time, and the routing tree in Alertmanager's form."""
        names: dict[str, None] = {}
        config = {"route": _route(self._rules().root, names), "receivers": [{"name": name} for name in names]}
        unknown = dict.fromkeys(("branch", "buildDate", "buildUser", "goVersion", "revision"), "")
        status = {
            "cluster": {"status": "disabled", "peers": []},
            "uptime": iso(self._started_at),
            "versionInfo": {"version": __version__, **unknown},
            "config": {"original": yaml.safe_dump(config, sort_keys=False, allow_unicode=True)},
        }
        return json_answer(status)

    async def get_receivers(self, _: web.Request) -> web.Response:
        """Return the rooms, and `NOBODY` if a route has none."""
        nobody = () if all(route.rooms for route in walk(self._rules().root)) else (NOBODY,)
        return json_answer([{"name": name} for name in (*self._rules().rooms, *nobody)])

    async def get_alerts(self, request: web.Request) -> web.Response:
        """Return the firing alerts, filtered by `filter`, `receiver`, `active`, `silenced`, `inhibited`."""
        try:
            return json_answer(await self._shown(request))
        except BadMatcherError as error:
            return json_answer(f"bad matcher format: {error}", 400)

    async def get_groups(self, request: web.Request) -> web.Response:
        """Return the same alerts by room."""
        try:
            shown = await self._shown(request)
        except BadMatcherError as error:
            return json_answer(f"bad matcher format: {error}", 400)
        rooms: dict[str, list[dict[str, Any]]] = {}
        for alert in shown:
            for receiver in alert["receivers"]:
                rooms.setdefault(receiver["name"], []).append(alert)
        groups = [{"labels": {}, "receiver": {"name": room}, "alerts": alerts} for room, alerts in rooms.items()]
        return json_answer(groups)

    async def _shown(self, request: web.Request) -> list[dict[str, Any]]:
        matchers = _filters(request)
        receiver = _receiver(request)
        alerts = {(alert.source, alert.key): alert for alert in await self._alerts()}
        shown = []
        for number, alert in enumerate(alerts.values()):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)  # noqa: TID251 - not to wait, but to give other tasks a turn
            view = view_of(alert)
            silenced, inhibited = self._suppressor.held_by(view, self._desk.own_now())
            rooms = [one.room for one in destinations(resolve(self._rules().root, view))]
            wanted = (
                all(matcher.matches(view) for matcher in matchers)
                and any(receiver.matches({"receiver": room}) for room in rooms or (NOBODY,))
                and (_wants(request, "silenced") or not silenced)
                and (_wants(request, "inhibited") or not inhibited)
                and (_wants(request, "active") or bool(silenced or inhibited))
            )
            if wanted:
                by = [fingerprint(labels_of(alerts[key])) for key in inhibited if key in alerts]
                shown.append(self._alert_json(alert, rooms, silenced, by))
        return sorted(shown, key=lambda one: one["fingerprint"])

    def _alert_json(self, alert: Alert, rooms: list[str], silenced: list[str], inhibited: list[str]) -> dict[str, Any]:
        # `seen_at` and expiry are by the relay's own clock, `startsAt` is the source's: only the former are shifted
        labels, ahead = labels_of(alert), self._desk.own_now() - self._desk.now()
        return {
            "labels": labels,
            "annotations": {"summary": alert.title},
            "fingerprint": fingerprint(labels),
            "startsAt": iso(alert.started_at),
            "endsAt": iso(self._rules().expires_at(alert) - ahead),
            "updatedAt": iso(alert.seen_at - ahead),
            "generatorURL": "",
            "receivers": [{"name": room} for room in rooms or (NOBODY,)],
            "status": {
                "state": "suppressed" if silenced or inhibited else "active",
                "silencedBy": silenced,
                "inhibitedBy": inhibited,
            },
        }

    async def get_silences(self, request: web.Request) -> web.Response:
        """Return the silences whose matchers the filters match, active ones first."""
        try:
            wanted = _filters(request)
        except BadMatcherError as error:
            return json_answer(f"bad matcher format: {error}", 400)
        now = self._desk.now()
        order = ("active", "pending", "expired")
        found = [one for one in (await self._desk.known()).values() if _silence_matches(one, wanted)]
        found.sort(key=lambda one: (order.index(one.state(now)), one.ends_at))
        return json_answer([_silence_json(one, now) for one in found])

    async def post_silence(self, request: web.Request) -> web.Response:
        """Make a silence, or change the one with the given id."""
        try:
            wanted = await read_json_body(request, _Silence)
            wish = Wish(
                matchers=tuple(one.text() for one in wanted.matchers),
                starts_at=parse_time(wanted.startsAt),
                ends_at=parse_time(wanted.endsAt),
                created_by=wanted.createdBy,
                comment=wanted.comment,
            )
            silence_id = await self._desk.put(wish, wanted.id or None)
        except BadSilenceError as error:
            return json_answer(f"silence invalid: {error}", 400)
        except (BadRequestError, ValueError) as error:
            return json_answer({"code": 400, "message": str(error)}, 400)
        if silence_id is None:
            return json_answer("silence not found", 404)
        return json_answer({"silenceID": silence_id})

    async def get_silence(self, request: web.Request) -> web.Response:
        """Return one silence."""
        found = (await self._desk.known()).get(request.match_info["id"])
        return web.Response(status=404) if found is None else json_answer(_silence_json(found, self._desk.now()))

    async def delete_silence(self, request: web.Request) -> web.Response:
        """End a silence."""
        ended = await self._desk.expire(request.match_info["id"])
        if ended is None:
            return web.Response(status=404)
        return web.Response(status=200) if ended else json_answer("silence already expired", 500)


def labels_of(alert: Alert) -> dict[str, str]:
    """Return an alert's labels for Alertmanager's clients.

    They are its own labels, source and severity; and the title, if there is no `alertname` to tell it from others.
    """
    view = view_of(alert)
    names = ["source", "severity"] if "alertname" in alert.labels else ["source", "severity", "title"]
    return {**alert.labels, **{name: view[name] for name in names}}


def _filters(request: web.Request) -> list[Matcher]:
    return [matcher for text in request.query.getall("filter", []) for matcher in parse_matchers(text)]


def _receiver(request: web.Request) -> Matcher:
    return make_matcher("receiver", "=~", request.query.get("receiver") or ".*")


def _wants(request: web.Request, name: str) -> bool:
    return request.query.get(name, "true").lower() != "false"


def _silence_matches(silence: Silence, wanted: Iterable[Matcher]) -> bool:
    """Return whether all filters match the names and values of a silence's matchers, as in Alertmanager."""
    values = {m.name: m.value for text in silence.matchers for m in parse_matchers(text)}
    return all(matcher.matches(values) for matcher in wanted)


def _silence_json(one: Silence, now: float) -> dict[str, object]:
    matchers = [
        {"name": m.name, "value": m.value, "isRegex": _OPERATORS[m.op][0], "isEqual": _OPERATORS[m.op][1]}
        for text in one.matchers
        for m in parse_matchers(text)
    ]
    return {
        "id": one.id,
        "status": {"state": one.state(now)},
        "matchers": matchers,
        "startsAt": iso(one.starts_at),
        "endsAt": iso(one.ends_at),
        "updatedAt": iso(one.updated_at),
        "createdBy": one.created_by,
        "comment": one.comment,
    }


def _route(route: Route, names: dict[str, None]) -> dict[str, object]:
    """Return a route in Alertmanager's form, its rooms as one receiver; `names` collects the receivers."""
    receiver = ",".join(route.rooms) or NOBODY
    names[receiver] = None
    tree: dict[str, object] = {"receiver": receiver}
    if route.policy.group_by is not None:
        tree["group_by"] = list(route.policy.group_by)
    if route.matchers:
        tree["matchers"] = [str(matcher) for matcher in route.matchers]
    if route.continues:
        tree["continue"] = True
    if route.routes:
        tree["routes"] = [_route(child, names) for child in route.routes]
    return tree
