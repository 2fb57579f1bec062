"""A stand-in APIC: sessions that end, subscriptions that lapse unless they are refreshed, and a fabric to change.

Source: Cisco APIC REST API Configuration Guide, "Subscribing to Query Results", "Using Filters and Query Targets".
"""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from relay.core.words import iso

SESSION = 600.0
"""Seconds for which a token is valid without a renewal."""
SUBSCRIPTION = 60.0
"""Seconds for which a subscription lasts without a refresh."""
NO_SOCKET = "unable to locate opened web socket. Please re-login"
_TERM = re.compile(
    r'\s*(?:(?P<join>and|or|not)\(|(?P<test>\w+)\((?P<name>[\w.]+),\s*"(?P<value>[^"]*)"\)|(?P<end>\)))\s*,?'
)

_NAMES = {"fvTenant": "tn-", "fvAp": "ap-", "fvAEPg": "epg-", "fvBD": "BD-", "fvCtx": "ctx-", "vzBrCP": "brc-"}
"""Prefixes of objects' names in a dn, by class."""
MOST_DEEP = 20
"""Most levels of children in a posted object."""
Attributes = dict[str, str]


class FabricAnswerError(Exception):
    """An error, with the status and text of its answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Subscription(msgspec.Struct):
    """A session's subscription to a class or a dn, with its filter. It lasts `until` a time in Unix seconds."""

    session: Session
    kind: str | None
    dn: str | None
    target: str
    target_class: str | None
    filter: str | None
    until: float


class Session(msgspec.Struct):
    """A login. `send` sends a frame to its socket, and `hang_up` closes that. Both are None without a socket."""

    token: str
    until: float
    send: Callable[[str], None] | None = None
    hang_up: Callable[[], None] | None = None


class StandInFabric:
    """Objects, sessions and subscriptions of one fabric. `now` returns the time in Unix seconds."""

    def __init__(
        self, now: Callable[[], float], password: str, *, session: float = SESSION, subscription: float = SUBSCRIPTION
    ) -> None:
        self.objects: dict[str, tuple[str, Attributes]] = {}
        self.changes = 0
        """How often an object was made, changed or deleted."""
        self._now = now
        self._password = password
        self._session_lasts = session
        self._subscription_lasts = subscription
        self._sessions: dict[str, Session] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._numbers = itertools.count(72057598349803600)

    # A client's requests

    def login(self, password: str) -> tuple[str, float]:
        """Return a token, and the seconds for which it lasts. Raises `FabricAnswerError`."""
        if not secrets.compare_digest(password.encode(), self._password.encode()):
            raise FabricAnswerError(401, "Username or password is incorrect - FAILED local authentication")
        session = Session(secrets.token_hex(16), self._now() + self._session_lasts)
        self._sessions[session.token] = session
        return session.token, self._session_lasts

    def renew(self, token: str) -> tuple[str, float]:
        """Return another token for a session, and the seconds for which it lasts. Raises `FabricAnswerError`."""
        session = self._session(token)
        session.token, session.until = secrets.token_hex(16), self._now() + self._session_lasts
        self._sessions[session.token] = session
        return session.token, self._session_lasts

    def open_socket(self, token: str, send: Callable[[str], None], hang_up: Callable[[], None]) -> None:
        """Give a session its socket. Raises `FabricAnswerError`."""
        session = self._session(token)
        session.send, session.hang_up = send, hang_up

    def close_socket(self, send: Callable[[str], None]) -> None:
        """Forget a socket and the subscriptions that it served."""
        for session in self._sessions.values():
            if session.send is send:
                session.send = session.hang_up = None
                for number in [number for number, one in self._subscriptions.items() if one.session is session]:
                    del self._subscriptions[number]

    def query(self, token: str, path: str, wanted: Mapping[str, str]) -> dict[str, Any]:
        """Answer `class/…` or `mo/…`, and subscribe if that is wanted. Raises `FabricAnswerError`."""
        session = self._session(token)
        scope, _, name = path.removeprefix("node/").partition("/")
        subscription = Subscription(
            session=session,
            kind=name if scope == "class" else None,
            dn=name if scope == "mo" else None,
            target=wanted.get("query-target", "self"),
            target_class=wanted.get("target-subtree-class"),
            filter=wanted.get("query-target-filter"),
            until=self._now() + self._subscription_lasts,
        )
        found = [
            (kind, attributes) for kind, attributes in self.objects.values() if _matches(subscription, kind, attributes)
        ]
        answer: dict[str, Any] = {"totalCount": str(len(found))}
        if wanted.get("subscription") == "yes":
            if session.send is None:
                raise FabricAnswerError(405, NO_SOCKET)
            number = str(next(self._numbers))
            subscription.until = self._now() + float(wanted.get("refresh-timeout", self._subscription_lasts))
            self._subscriptions[number] = subscription
            answer["subscriptionId"] = number
        return {
            **answer,
            "imdata": [{kind: {"attributes": {**attributes, "status": ""}}} for kind, attributes in found],
        }

    def refresh(self, token: str, number: str) -> None:
        """Have a subscription last longer. Raises `FabricAnswerError`."""
        session, subscription = self._session(token), self._subscriptions.get(number)
        if session.send is None:
            raise FabricAnswerError(405, NO_SOCKET)
        if subscription is None or subscription.until <= self._now():
            raise FabricAnswerError(400, f"subscription {number} not found")
        subscription.until = self._now() + self._subscription_lasts

    def _session(self, token: str) -> Session:
        session = self._sessions.get(token)
        if session is None or session.until <= self._now():
            raise FabricAnswerError(403, "Token was invalid (Error: Token timeout)")
        return session

    # Changes of the fabric

    def put(self, kind: str, dn: str, **changes: str) -> None:
        """Make an object, or change it, and send the change to its subscribers."""
        stamp = self._stamp()
        before = self.objects.get(dn)
        if before is None:
            self.objects[dn] = (kind, {"dn": dn, **changes, "modTs": stamp})
            self._publish(kind, {"childAction": "", **self.objects[dn][1], "status": "created"}, self.objects[dn][1])
            return
        fresh = {name: value for name, value in changes.items() if before[1].get(name) != value}
        if fresh:
            before[1].update(fresh, modTs=stamp)
            news = {"childAction": "", "dn": dn, **fresh, "modTs": stamp, "rn": "", "status": "modified"}
            self._publish(kind, news, before[1])

    def remove(self, dn: str) -> None:
        """Delete an object, and send the deletion to its subscribers."""
        kind, attributes = self.objects.pop(dn)
        news = {"childAction": "", "dn": dn, "modTs": self._stamp(), "rn": "", "status": "deleted"}
        self._publish(kind, news, attributes)

    def _stamp(self) -> str:
        return iso(self._now()).replace("Z", "+00:00")

    def _publish(self, kind: str, news: Attributes, whole: Attributes) -> None:
        """Send the news of an object to each session with a matching subscription, in one frame for each session.

        Subscriptions match the `whole` object, as a filter may name attributes that did not change.
        """
        self.changes += 1
        now = self._now()
        by_session: dict[int, tuple[Session, list[str]]] = {}
        for number, one in list(self._subscriptions.items()):
            if one.until <= now or one.session.until <= now:
                del self._subscriptions[number]
            elif _matches(one, kind, whole):
                by_session.setdefault(id(one.session), (one.session, []))[1].append(number)
        for session, numbers in by_session.values():
            if session.send is not None:
                frame = {"subscriptionId": numbers, "imdata": [{kind: {"attributes": news}}]}
                session.send(msgspec.json.encode(frame).decode())

    # Faults of the controller

    def drop_sockets(self) -> None:
        """Close all websockets."""
        for session in list(self._sessions.values()):
            if session.hang_up is not None:
                session.hang_up()

    def lose_subscriptions(self) -> None:
        """Forget all subscriptions without notice to the clients."""
        self._subscriptions.clear()

    def lose_sockets(self) -> None:
        """Forget the websockets but keep them open, which gives the 405 that clients meet after days."""
        for session in self._sessions.values():
            session.send = None

    def expire_tokens(self) -> None:
        """End all sessions."""
        for session in self._sessions.values():
            session.until = 0.0


def _matches(one: Subscription, kind: str, attributes: Attributes) -> bool:
    dn = attributes["dn"]
    if one.kind is not None:
        wanted = kind == one.kind
    else:
        inner = dn.startswith(f"{one.dn}/")
        wanted = (dn == one.dn and one.target != "children") or (inner and one.target != "self")
        if one.target_class is not None:
            wanted = wanted and kind in one.target_class.split(",")
    return wanted and (one.filter is None or _passes(one.filter, kind, attributes))


def _passes(text: str, kind: str, attributes: Attributes) -> bool:
    """Return whether an object passes a filter: eq, ne, lt, gt, le, ge, wcard, and, or, not."""
    return _results(_terms(text), kind, attributes)[0]


def _terms(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise FabricAnswerError(400, f"can't parse the filter at {text[at : at + 30]!r}")
        yield found
        at = found.end()


def _results(terms: Iterator[re.Match[str]], kind: str, attributes: Attributes) -> list[bool]:
    """Return the result of each term up to the end of its parentheses."""
    results: list[bool] = []
    for term in terms:
        if term["end"]:
            return results
        if term["join"]:
            inner = _results(terms, kind, attributes)
            results.append({"and": all(inner), "or": any(inner), "not": not all(inner)}[term["join"]])
            continue
        of, _, name = term["name"].partition(".")
        value, wanted = attributes.get(name, ""), term["value"]
        tests = {
            "eq": value == wanted,
            "ne": value != wanted,
            "wcard": re.search(wanted, value) is not None,
            "lt": value < wanted,
            "gt": value > wanted,
            "le": value <= wanted,
            "ge": value >= wanted,
        }
        results.append(of == kind and tests.get(term["test"], False))
    return results or [True]


class SandboxApic:
    """The fabric's API over HTTP and websockets."""

    def __init__(self, fabric: StandInFabric) -> None:
        self.fabric = fabric
        self._pumps: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of an APIC's API, and of the switches for faults at `/sandbox/apic`."""
        return [
            web.post("/api/aaaLogin.json", self._login),
            web.get("/api/aaaRefresh.json", self._renew),
            web.get("/api/subscriptionRefresh.json", self._refresh),
            web.get(r"/api/{path:(?:node/)?(?:class|mo)/.+}.json", self._query),
            web.post(r"/api/{path:(?:node/)?mo/.+}.json", self._change),
            web.get(r"/socket{token:[0-9a-f]+}", self._socket),
            web.put("/sandbox/apic", self._switch),
        ]

    async def _login(self, request: web.Request) -> web.Response:
        try:
            attributes = msgspec.json.decode(await request.read())["aaaUser"]["attributes"]
            return _granted(*self.fabric.login(str(attributes["pwd"])))
        except FabricAnswerError as error:
            return _error(error)
        except (msgspec.DecodeError, LookupError, TypeError):
            return _error(
                FabricAnswerError(400, "expected aaaUser with the attributes name and pwd, found another body")
            )

    async def _renew(self, request: web.Request) -> web.Response:
        try:
            return _granted(*self.fabric.renew(_token(request)))
        except FabricAnswerError as error:
            return _error(error)

    async def _refresh(self, request: web.Request) -> web.Response:
        try:
            self.fabric.refresh(_token(request), request.query.get("id", ""))
        except FabricAnswerError as error:
            return _error(error)
        return _json({"imdata": []})

    async def _query(self, request: web.Request) -> web.Response:
        try:
            return _json(self.fabric.query(_token(request), request.match_info["path"], request.query))
        except FabricAnswerError as error:
            return _error(error)

    async def _change(self, request: web.Request) -> web.Response:
        """Make, change or delete an object and its children: that of the path, or one below it that the body names."""
        dn = request.match_info["path"].removeprefix("node/").removeprefix("mo/")
        try:
            self.fabric.query(_token(request), f"mo/{dn}", {})
            self._apply(dn, msgspec.json.decode(await request.read()), MOST_DEEP)
        except FabricAnswerError as error:
            return _error(error)
        except (msgspec.DecodeError, ValueError, AttributeError, TypeError):
            return _error(FabricAnswerError(400, "expected one object with its attributes, found another body"))
        return _json({"imdata": []})

    def _apply(self, dn: str, body: Any, depth: int) -> None:
        if depth == 0:
            raise FabricAnswerError(400, f"nested too deeply; send at most {MOST_DEEP} levels")
        ((kind, content),) = body.items()
        attributes = {name: str(value) for name, value in content.get("attributes", {}).items()}
        prefix = _NAMES.get(kind)
        below = prefix is not None and "name" in attributes and not dn.rpartition("/")[2].startswith(prefix)
        dn = attributes.pop("dn", "") or (f"{dn}/{prefix}{attributes['name']}" if below else dn)
        if attributes.pop("status", "") == "deleted":
            for inner in [one for one in self.fabric.objects if one == dn or one.startswith(f"{dn}/")]:
                self.fabric.remove(inner)
            return
        if kind != "polUni":
            self.fabric.put(kind, dn, **attributes)
        for child in content.get("children", ()):
            self._apply(dn, child, depth - 1)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        frames: asyncio.Queue[str | None] = asyncio.Queue()

        def send(frame: str) -> None:
            frames.put_nowait(frame)

        try:
            self.fabric.open_socket(request.match_info["token"], send, lambda: frames.put_nowait(None))
        except FabricAnswerError as error:
            return _error(error)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        pump = asyncio.get_running_loop().create_task(self._pump(socket, frames))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)
        try:
            async for message in socket:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            self.fabric.close_socket(send)
            pump.cancel()
        return socket

    @staticmethod
    async def _pump(socket: web.WebSocketResponse, frames: asyncio.Queue[str | None]) -> None:
        while (frame := await frames.get()) is not None:
            await socket.send_str(frame)
        await socket.close()

    async def _switch(self, request: web.Request) -> web.Response:
        """Have the fabric fail once in each of the named ways."""
        ways: dict[str, Callable[[], None]] = {
            "drop_sockets": self.fabric.drop_sockets,
            "lose_subscriptions": self.fabric.lose_subscriptions,
            "lose_sockets": self.fabric.lose_sockets,
            "expire_tokens": self.fabric.expire_tokens,
        }
        try:
            wanted = msgspec.json.decode(await request.read(), type=list[str])
            for name in wanted:
                ways[name]()
        except (msgspec.DecodeError, KeyError) as error:
            return web.Response(
                status=400, text=f"expected a list with any of {', '.join(ways)}; {error} does not fit\n"
            )
        return _json(wanted)

    def stop(self) -> None:
        """Close all websockets, and stop sending to them."""
        self.fabric.drop_sockets()
        for pump in list(self._pumps):
            pump.cancel()


def _token(request: web.Request) -> str:
    return request.cookies.get("APIC-cookie", "")


def _granted(token: str, lasts: float) -> web.Response:
    attributes = {"token": token, "refreshTimeoutSeconds": f"{lasts:g}", "maximumLifetimeSeconds": "86400"}
    answer = _json({"totalCount": "1", "imdata": [{"aaaLogin": {"attributes": attributes}}]})
    answer.set_cookie("APIC-cookie", token, path="/", httponly=True)
    return answer


def _error(error: FabricAnswerError) -> web.Response:
    attributes = {"code": str(error.status), "text": str(error)}
    return _json({"totalCount": "1", "imdata": [{"error": {"attributes": attributes}}]}, error.status)


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
