"""A stand-in APIC: sessions that end, subscriptions that are lost unless they are refreshed, and a fabric to change.

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
"""Seconds that a token is good for without being renewed."""
SUBSCRIPTION = 60.0
"""Seconds that a subscription lasts without being refreshed."""
NO_SOCKET = "unable to locate opened web socket. Please re-login"
_TERM = re.compile(
    r'\s*(?:(?P<join>and|or|not)\(|(?P<test>\w+)\((?P<name>[\w.]+),\s*"(?P<value>[^"]*)"\)|(?P<end>\)))\s*,?'
)

_NAMES = {"fvTenant": "tn-", "fvAp": "ap-", "fvAEPg": "epg-", "fvBD": "BD-", "fvCtx": "ctx-", "vzBrCP": "brc-"}
"""What objects' names in a dn begin with, by class."""
MOST_DEEP = 20
Attributes = dict[str, str]


class FabricAnswerError(Exception):
    """An error's answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Interest(msgspec.Struct):
    """What a subscription is of: a class or a dn, with its filter; who holds it, and until when."""

    session: Session
    kind: str | None
    dn: str | None
    target: str
    target_class: str | None
    filter: str | None
    until: float


class Session(msgspec.Struct):
    """A login. `say` sends a frame to its socket, and `hang_up` closes it; None where there is none."""

    token: str
    until: float
    say: Callable[[str], None] | None = None
    hang_up: Callable[[], None] | None = None


class StandInFabric:
    """Objects, sessions and subscriptions of one fabric. Times are what `now` says, in Unix seconds."""

    def __init__(
        self, now: Callable[[], float], password: str, *, session: float = SESSION, subscription: float = SUBSCRIPTION
    ) -> None:
        self.objects: dict[str, tuple[str, Attributes]] = {}
        self.changes = 0
        """How often an object was made, changed or deleted."""
        self._now = now
        self._password = password
        self._lasts = session
        self._subscription = subscription
        self._sessions: dict[str, Session] = {}
        self._interests: dict[str, Interest] = {}
        self._numbers = itertools.count(72057598349803600)

    # What a client does

    def login(self, password: str) -> tuple[str, float]:
        """A token, and how long it lasts."""
        if not secrets.compare_digest(password.encode(), self._password.encode()):
            raise FabricAnswerError(401, "Username or password is incorrect - FAILED local authentication")
        session = Session(secrets.token_hex(16), self._now() + self._lasts)
        self._sessions[session.token] = session
        return session.token, self._lasts

    def renew(self, token: str) -> tuple[str, float]:
        """Another token for a session."""
        session = self._session(token)
        session.token, session.until = secrets.token_hex(16), self._now() + self._lasts
        self._sessions[session.token] = session
        return session.token, self._lasts

    def open_socket(self, token: str, say: Callable[[str], None], hang_up: Callable[[], None]) -> None:
        """Give a session its socket."""
        session = self._session(token)
        session.say, session.hang_up = say, hang_up

    def close_socket(self, say: Callable[[str], None]) -> None:
        """A socket is gone, and what was subscribed to by it."""
        for session in self._sessions.values():
            if session.say is say:
                session.say = session.hang_up = None
                for name in [name for name, one in self._interests.items() if one.session is session]:
                    del self._interests[name]

    def query(self, token: str, path: str, wanted: Mapping[str, str]) -> dict[str, Any]:
        """Answer `class/…` or `mo/…`, and subscribe where that is wanted."""
        session = self._session(token)
        where, _, what = path.removeprefix("node/").partition("/")
        interest = Interest(
            session=session,
            kind=what if where == "class" else None,
            dn=what if where == "mo" else None,
            target=wanted.get("query-target", "self"),
            target_class=wanted.get("target-subtree-class"),
            filter=wanted.get("query-target-filter"),
            until=self._now() + self._subscription,
        )
        found = [
            (kind, attributes) for kind, attributes in self.objects.values() if _matches(interest, kind, attributes)
        ]
        answer: dict[str, Any] = {"totalCount": str(len(found))}
        if wanted.get("subscription") == "yes":
            if session.say is None:
                raise FabricAnswerError(405, NO_SOCKET)
            number = str(next(self._numbers))
            interest.until = self._now() + float(wanted.get("refresh-timeout", self._subscription))
            self._interests[number] = interest
            answer["subscriptionId"] = number
        return {
            **answer,
            "imdata": [{kind: {"attributes": {**attributes, "status": ""}}} for kind, attributes in found],
        }

    def refresh(self, token: str, subscription: str) -> None:
        """Have a subscription last longer."""
        session, interest = self._session(token), self._interests.get(subscription)
        if session.say is None:
            raise FabricAnswerError(405, NO_SOCKET)
        if interest is None or interest.until <= self._now():
            raise FabricAnswerError(400, f"subscription {subscription} not found")
        interest.until = self._now() + self._subscription

    def _session(self, token: str) -> Session:
        session = self._sessions.get(token)
        if session is None or session.until <= self._now():
            raise FabricAnswerError(403, "Token was invalid (Error: Token timeout)")
        return session

    # What happens to it

    def put(self, kind: str, dn: str, **changes: str) -> None:
        """Make an object, or change it; whoever is subscribed to it hears what has changed."""
        stamp = self._stamp()
        before = self.objects.get(dn)
        if before is None:
            self.objects[dn] = (kind, {"dn": dn, **changes, "modTs": stamp})
            self._tell(kind, {"childAction": "", **self.objects[dn][1], "status": "created"}, self.objects[dn][1])
            return
        fresh = {name: value for name, value in changes.items() if before[1].get(name) != value}
        if fresh:
            before[1].update(fresh, modTs=stamp)
            said = {"childAction": "", "dn": dn, **fresh, "modTs": stamp, "rn": "", "status": "modified"}
            self._tell(kind, said, before[1])

    def remove(self, dn: str) -> None:
        """Delete an object."""
        kind, attributes = self.objects.pop(dn)
        said = {"childAction": "", "dn": dn, "modTs": self._stamp(), "rn": "", "status": "deleted"}
        self._tell(kind, said, attributes)

    def _stamp(self) -> str:
        return iso(self._now()).replace("Z", "+00:00")

    def _tell(self, kind: str, said: Attributes, whole: Attributes) -> None:
        self.changes += 1
        now = self._now()
        by_session: dict[int, tuple[Session, list[str]]] = {}
        for number, interest in list(self._interests.items()):
            if interest.until <= now or interest.session.until <= now:
                del self._interests[number]
            elif _matches(interest, kind, whole):
                by_session.setdefault(id(interest.session), (interest.session, []))[1].append(number)
        for session, numbers in by_session.values():
            if session.say is not None:
                frame = {"subscriptionId": numbers, "imdata": [{kind: {"attributes": said}}]}
                session.say(msgspec.json.encode(frame).decode())

    # Faults of its own

    def drop_sockets(self) -> None:
        """Close all websockets."""
        for session in list(self._sessions.values()):
            if session.hang_up is not None:
                session.hang_up()

    def lose_subscriptions(self) -> None:
        """Forget all subscriptions, without a word."""
        self._interests.clear()

    def lose_sockets(self) -> None:
        """Know nothing of the websockets any more, which stay open: the 405 that clients meet after days."""
        for session in self._sessions.values():
            session.say = None

    def expire_tokens(self) -> None:
        """End all sessions."""
        for session in self._sessions.values():
            session.until = 0.0


def _matches(interest: Interest, kind: str, attributes: Attributes) -> bool:
    dn = attributes["dn"]
    if interest.kind is not None:
        wanted = kind == interest.kind
    else:
        inner = dn.startswith(f"{interest.dn}/")
        wanted = (dn == interest.dn and interest.target != "children") or (inner and interest.target != "self")
        if interest.target_class is not None:
            wanted = wanted and kind in interest.target_class.split(",")
    return wanted and (interest.filter is None or _passes(interest.filter, kind, attributes))


def _passes(text: str, kind: str, attributes: Attributes) -> bool:
    """Whether an object passes a filter: eq, ne, lt, gt, le, ge, wcard, and, or, not."""
    return _any_term(_terms(text), kind, attributes)[0]


def _terms(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise FabricAnswerError(400, f"can't parse the filter at {text[at : at + 30]!r}")
        yield found
        at = found.end()


def _any_term(terms: Iterator[re.Match[str]], kind: str, attributes: Attributes) -> list[bool]:
    """What the terms up to the end of their parentheses say."""
    said: list[bool] = []
    for term in terms:
        if term["end"]:
            return said
        if term["join"]:
            inner = _any_term(terms, kind, attributes)
            said.append({"and": all(inner), "or": any(inner), "not": not all(inner)}[term["join"]])
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
        said.append(of == kind and tests.get(term["test"], False))
    return said or [True]


class SandboxApic:
    """The fabric's API over HTTP and websockets."""

    def __init__(self, fabric: StandInFabric) -> None:
        self.fabric = fabric
        self._pumps: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """The API as an APIC has it, and the switches for faults at `/sandbox/apic`."""
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
            return _error(FabricAnswerError(400, "aaaUser with name and pwd would be right"))

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
        """Make, change or delete the object of a path (or the one below it that the body is), and its children."""
        dn = request.match_info["path"].removeprefix("node/").removeprefix("mo/")
        try:
            self.fabric.query(_token(request), f"mo/{dn}", {})
            self._apply(dn, msgspec.json.decode(await request.read()), MOST_DEEP)
        except FabricAnswerError as error:
            return _error(error)
        except (msgspec.DecodeError, ValueError, AttributeError, TypeError):
            return _error(FabricAnswerError(400, "one object with its attributes would be right"))
        return _json({"imdata": []})

    def _apply(self, dn: str, body: Any, depth: int) -> None:
        if depth == 0:
            raise FabricAnswerError(400, "nested too deeply")
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

        def say(frame: str) -> None:
            frames.put_nowait(frame)

        try:
            self.fabric.open_socket(request.match_info["token"], say, lambda: frames.put_nowait(None))
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
            self.fabric.close_socket(say)
            pump.cancel()
        return socket

    @staticmethod
    async def _pump(socket: web.WebSocketResponse, frames: asyncio.Queue[str | None]) -> None:
        while (frame := await frames.get()) is not None:
            await socket.send_str(frame)
        await socket.close()

    async def _switch(self, request: web.Request) -> web.Response:
        """Have it fail once, in the ways that are named."""
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
        except (msgspec.DecodeError, KeyError):
            return web.Response(status=400, text=f"a list of {', '.join(ways)} would be right\n")
        return _json(wanted)

    def stop(self) -> None:
        """Let go of all sockets."""
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
