"""Cisco APIC: what the stand-in fabric goes through, and what is told of it."""

from __future__ import annotations

import asyncio
import heapq
import io
import itertools
import json
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

import aiohttp
import pytest
import trustme

from relay.core.event import SourceDefaults
from relay.core.plan import Waiting
from relay.core.redaction import Redactor
from relay.listeners.apic import ApicListener
from relay.listeners.apic_client import ApicClient, ApicError, Query, Snapshot
from relay.listeners.staying import Staying
from relay.logs import make_log
from relay.pipeline.arrivals import Arrivals
from relay.pipeline.intake import Intake
from relay.ports import Accepted, Begun, Conflict, Refusal, StoreUnavailableError, Submission
from relay.sandbox.apic import FabricAnswerError, StandInFabric
from relay.sandbox.server import Sandbox
from relay.web.metrics import Metrics
from tests.fakes.running import TOKEN, Running, running

FAULT = "topology/pod-1/node-101/sys/phys-[eth1/1]/phys/fault-F0532"
QUERIES = (Query(kind="faultInst"), Query(kind="fvTenant"), Query(dn="topology/pod-1", target="subtree"))


def raised(fabric: StandInFabric, dn: str = FAULT, severity: str = "major", **changes: str) -> None:
    fabric.put(
        "faultInst",
        dn,
        code="F0532",
        cause="port-down",
        severity=severity,
        lc="raised",
        descr="Port is down",
        ack="no",
        **changes,
    )


def cleared(fabric: StandInFabric, dn: str = FAULT) -> None:
    fabric.put("faultInst", dn, severity="cleared", lc="retaining")


# A relay beside the stand-in, over real HTTP and a real websocket


def source(sandbox: Sandbox, **changes: Any) -> dict[str, Any]:
    subscribe = [{"class": "faultInst", "filter": 'ne(faultInst.severity,"info")'}, {"class": "fvTenant"}]
    return {
        "fabric": {
            "type": "apic",
            "url": sandbox.address,
            "username": "relay",
            "password": TOKEN,
            "subscribe": subscribe,
            **changes,
        },
    }


async def heads(relay: Running, count: int) -> list[str]:
    await relay.until(lambda: len(relay.messages()) >= count)
    return [message.text.splitlines()[0] for message in relay.messages()]


async def connected(relay: Running) -> None:
    await relay.until_shown("/api/v1/status", lambda status: status["feeds"][0]["connected"])


async def test_faults_live_and_changes_are_told(tmp_path: Path, sandbox: Sandbox) -> None:
    fabric = sandbox.fabric
    raised(fabric, f"{FAULT}-old")
    fabric.put("fvTenant", "uni/tn-old", name="old", descr="")
    raised(fabric, f"{FAULT}-info", severity="info")
    async with running(tmp_path, sandbox, sources=source(sandbox)) as relay:
        assert await heads(relay, 1) == ["🟠 MAJOR · port-down on node-101 eth1/1 (F0532)"]
        await connected(relay)
        fabric.put("fvTenant", "uni/tn-acme", name="acme", descr="a")
        assert (await heads(relay, 2))[1] == "⚪ INFO · fvTenant uni/tn-acme has been created"
        fabric.put("fvTenant", "uni/tn-acme", descr="b")
        await heads(relay, 3)
        assert 'descr: "a" → "b"' in relay.messages()[2].text
        raised(fabric)
        await heads(relay, 4)
        raised(fabric, severity="critical")
        await relay.until(lambda: relay.messages()[3].text.startswith("🔴 CRITICAL"))
        fabric.put("faultInst", FAULT, ack="yes")
        await relay.until(lambda: "👤 APIC" in relay.messages()[3].text)
        cleared(fabric)
        await relay.until(lambda: relay.messages()[3].text.startswith("✅ resolved"))
        fabric.remove(FAULT)
        fabric.remove("uni/tn-acme")
        deleted = "⚪ INFO · fvTenant uni/tn-acme has been deleted"
        await relay.until(lambda: any(message.text.startswith(deleted) for message in relay.messages()))
        assert not any("INFO · port-down" in message.text for message in relay.messages())


@pytest.mark.parametrize("way", ["drop_sockets", "expire_tokens"])
async def test_what_happens_in_a_gap_is_told_and_nothing_twice(tmp_path: Path, sandbox: Sandbox, way: str) -> None:
    fabric = sandbox.fabric
    raised(fabric, f"{FAULT}-1")
    async with running(tmp_path, sandbox, sources=source(sandbox)) as relay:
        await heads(relay, 1)
        await connected(relay)
        getattr(fabric, way)()
        fabric.drop_sockets()
        raised(fabric, f"{FAULT}-2")
        cleared(fabric, f"{FAULT}-1")
        await relay.until(lambda: len([m for m in relay.messages() if m.text.startswith("✅")]) >= 1)
        await heads(relay, 2)
    raised(fabric, f"{FAULT}-3")
    fabric.remove(f"{FAULT}-2")
    async with running(tmp_path, sandbox, sources=source(sandbox)) as relay:
        await relay.until(lambda: len([m for m in relay.messages() if m.text.startswith("✅")]) >= 4)
        await connected(relay)
        raised(fabric, f"{FAULT}-4")
        await relay.until(lambda: any("fault-F0532-4" in str(m.text) or "-4" in m.text for m in relay.messages()))
        _, events = await relay.get("/api/v1/events?source=fabric&limit=100")
        told = sorted((event["key"].removeprefix(FAULT), event["status"]) for event in events)
        assert told == [
            ("-1", "firing"),
            ("-1", "resolved"),
            ("-2", "firing"),
            ("-2", "resolved"),
            ("-3", "firing"),
            ("-4", "firing"),
        ]


async def test_a_wrong_password_is_told_and_not_hammered(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = source(sandbox, password="not-this-one")
    async with running(tmp_path, sandbox, sources=sources, operator={"room": "noc"}) as relay:
        assert "relay: Feed fabric is refused" in (await heads(relay, 1))[0]
        text = relay.messages()[0].text
        assert "the login was answered 401" in text
        assert "not-this-one" not in text + relay.log.read_text(encoding="utf-8")


async def test_a_filter_that_the_apic_can_not_read_is_told_at_once(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = source(sandbox, subscribe=[{"class": "fvTenant", "filter": "bogus(fvTenant.name)"}])
    sandbox.fabric.put("fvTenant", "uni/tn-a", name="a")
    async with running(tmp_path, sandbox, sources=sources, operator={"room": "noc"}) as relay:
        assert "relay: Feed fabric is refused" in (await heads(relay, 1))[0]
        assert "can't parse the filter" in relay.messages()[0].text


async def test_another_controller_is_tried(tmp_path: Path, sandbox: Sandbox) -> None:
    raised(sandbox.fabric)
    urls = ["http://127.0.0.1:9", sandbox.address]
    async with running(tmp_path, sandbox, sources=source(sandbox, url=None, urls=urls)) as relay:
        await heads(relay, 1)


async def test_a_subscription_that_was_out_of_the_configuration_begins_anew(tmp_path: Path, sandbox: Sandbox) -> None:
    sandbox.fabric.put("fvTenant", "uni/tn-old", name="old")
    raised(sandbox.fabric)
    both, one = [{"class": "faultInst"}, {"class": "fvTenant"}], [{"class": "faultInst"}]
    for subscribe in (both, one, both):
        async with running(tmp_path, sandbox, sources=source(sandbox, subscribe=subscribe)) as relay:
            await connected(relay)
            await heads(relay, 1)
    async with running(tmp_path, sandbox, sources=source(sandbox, subscribe=[{"class": "fvTenant"}])) as relay:
        await connected(relay)
        await relay.until(lambda: relay.messages()[0].text.startswith("✅ resolved"))
        _, events = await relay.get("/api/v1/events?source=fabric")
        assert [(event["key"], event["status"]) for event in events] == [(FAULT, "resolved"), (FAULT, "firing")]
        assert "no subscription tells of it any more" in str(events[0]["notes"])


class Odd:
    """An APIC that answers oddly: `answers` by path."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked = asyncio.Event()

    async def handle(self, request: aiohttp.web.BaseRequest) -> aiohttp.web.StreamResponse:
        if request.path.startswith("/socket"):
            socket = aiohttp.web.WebSocketResponse()
            await socket.prepare(request)
            async for _ in socket:
                pass
            return socket
        if request.path == "/api/aaaLogin.json":
            attributes = {"token": "a+/b==", "refreshTimeoutSeconds": "600"}
            return aiohttp.web.json_response({"imdata": [{"aaaLogin": {"attributes": attributes}}]})
        assert request.headers["Cookie"] == "APIC-cookie=a+/b=="
        self.asked.set()
        answer = self.answers.get(request.path)
        if answer is None:
            await asyncio.Event().wait()
        return aiohttp.web.Response(text=answer, content_type="application/json")


@asynccontextmanager
async def odd_apic(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Odd, str]]:
    odd = Odd()
    runner = aiohttp.web.ServerRunner(aiohttp.web.Server(odd.handle), shutdown_timeout=0.1)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    yield odd, f"http{'' if tls is None else 's'}://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_controller_with_a_certificate_of_its_own_authority(tmp_path: Path, sandbox: Sandbox) -> None:
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    fault = {"dn": FAULT, "severity": "major", "lc": "raised", "cause": "port-down", "code": "F0532"}
    state = {"imdata": [{"faultInst": {"attributes": fault}}], "totalCount": "1", "subscriptionId": "7"}
    async with odd_apic(tls) as (odd, url):
        odd.answers["/api/class/faultInst.json"] = json.dumps(state)
        subscribe = [{"class": "faultInst"}]
        sources = source(sandbox, url=url, subscribe=subscribe, tls={"ca": "ca.pem"})
        async with running(tmp_path, sandbox, sources=sources) as relay:
            await heads(relay, 1)
            await connected(relay)
        distrusting = source(sandbox, url=url, subscribe=subscribe)
        async with running(tmp_path, sandbox, sources=distrusting) as relay:
            await relay.until_shown(
                "/api/v1/status", lambda status: "certificate" in str(status["feeds"][0]["last_error"]).lower()
            )


@pytest.mark.parametrize(
    "answer",
    [
        "<html>please log in</html>",
        '{"imdata": [], "totalCount": "500", "subscriptionId": "7"}',
        '{"imdata": []}',
        "[]",
        '{"imdata": [{"error": {"attributes": {"text": "too large"}}}], "totalCount": "1", "subscriptionId": "7"}',
    ],
)
async def test_an_answer_that_is_not_the_whole_state_ends_nothing(answer: str) -> None:
    async with odd_apic() as (odd, url):
        odd.answers["/api/class/faultInst.json"] = answer
        client = ApicClient(url=url, username="u", password=Given(), max_body=1_000, redactor=Redactor())
        async with client.open() as fabric:
            with pytest.raises(ApicError):
                await fabric.subscribe(Query(kind="faultInst"))


async def test_a_stop_waits_for_no_answer(tmp_path: Path, sandbox: Sandbox) -> None:
    async with odd_apic() as (odd, url):
        async with running(tmp_path, sandbox, sources=source(sandbox, url=url)):
            await odd.asked.wait()
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 10


class Given:
    """A password."""

    def current(self) -> str:
        return TOKEN


async def test_a_subscription_without_a_socket_is_405(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        login = {"aaaUser": {"attributes": {"name": "u", "pwd": TOKEN}}}
        async with session.post(f"{sandbox.address}/api/aaaLogin.json", json=login) as answer:
            assert answer.status == 200
        async with session.get(f"{sandbox.address}/api/class/faultInst.json?subscription=yes") as answer:
            assert answer.status == 405
            assert "unable to locate opened web socket" in await answer.text()
        async with session.get(f"{sandbox.address}/api/class/fvTenant.json?query-target-filter=eq(x") as answer:
            assert answer.status in (200, 400)


async def test_objects_are_made_and_deleted_over_the_api_with_their_children(sandbox: Sandbox) -> None:
    tenant = {"fvTenant": {"attributes": {"name": "shop"}, "children": [{"fvAp": {"attributes": {"name": "web"}}}]}}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        login = {"aaaUser": {"attributes": {"name": "u", "pwd": TOKEN}}}
        async with session.post(f"{sandbox.address}/api/mo/uni.json", json=tenant) as answer:
            assert answer.status == 403
        async with session.post(f"{sandbox.address}/api/aaaLogin.json", json=login) as answer:
            assert answer.status == 200
        async with session.post(f"{sandbox.address}/api/mo/uni.json", json=tenant) as answer:
            assert answer.status == 200
        assert set(sandbox.fabric.objects) == {"uni/tn-shop", "uni/tn-shop/ap-web"}
        gone = {"fvTenant": {"attributes": {"status": "deleted"}}}
        async with session.post(f"{sandbox.address}/api/mo/uni/tn-shop.json", json=gone) as answer:
            assert answer.status == 200
        assert not sandbox.fabric.objects
        odd: tuple[Any, ...] = ([], {"a": 1}, {"fvAp": {"children": {"x": 1}}}, "x")
        for wrong in odd:
            async with session.post(f"{sandbox.address}/api/mo/uni/x.json", json=wrong) as answer:
                assert answer.status == 400


# A week in its own time


class VirtualClock:
    """Implements the `Clock` port: time that jumps to the next moment somebody waits for."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self.time

    wall = now

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        if seconds is None:
            await event.wait()
            return
        due: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self.time + seconds, next(self._numbers), due))
        waiting = asyncio.get_running_loop().create_task(event.wait())
        try:
            await asyncio.wait((due, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            due.cancel()

    async def run_until(self, end: float) -> None:
        """Let everything happen up to a time."""
        while True:
            while asyncio.get_running_loop()._ready:  # type: ignore[attr-defined]
                await asyncio.tasks.sleep(0)
            while self._waiting and self._waiting[0][2].done():
                heapq.heappop(self._waiting)
            if not self._waiting or self._waiting[0][0] > end:
                self.time = end
                return
            at, _, due = heapq.heappop(self._waiting)
            self.time = max(self.time, at)
            due.set_result(None)


class Shelf:
    """Implements the `Inbox` port in memory; a commit fails as often as `trouble` says."""

    def __init__(self, dice: Random) -> None:
        self.told: dict[str, list[str]] = defaultdict(list)
        self.trouble = 0.02
        self._dice = dice
        self._state: dict[str, bytes] = {}
        self._last = 0

    def accept(self, submission: Submission) -> Begun:
        if self._dice.random() < self.trouble and not self.told.get(""):
            raise StoreUnavailableError("no")
        self._state.update({name: value for name, value in submission.state if value is not None})
        for name in [name for name, value in submission.state if value is None]:
            self._state.pop(name, None)
        for event in submission.events:
            self.told[event.key].append(event.status if event.status != "notice" else event.labels["change"])
        first, self._last = self._last + 1, self._last + len(submission.events)
        outcome: asyncio.Future[Accepted | Conflict] = asyncio.get_running_loop().create_future()
        outcome.set_result(Accepted(tuple(event.id for event in submission.events), first))
        return Begun(first, outcome)

    def refuse(self, refusal: Refusal) -> Awaitable[None]:
        raise AssertionError(refusal)

    async def count_waiting_events(self) -> int:
        return 0

    async def waiting_events(self, limit: int, now: float) -> list[Waiting]:
        raise AssertionError((limit, now))

    async def source_state(self, source: str) -> dict[str, bytes]:
        assert source == "fabric"
        return dict(self._state)


async def _done(value: Accepted) -> Accepted:
    return value


class LocalFabric:
    """Implements the listener's `Fabric` without a network; it is reached as long as `reachable` says."""

    def __init__(self, fabric: StandInFabric, token: str, lasts: float, reachable: Callable[[], bool]) -> None:
        self.lasts = lasts
        self.ended = "closed"
        self._fabric = fabric
        self._token = token
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()
        self._say = self._frames.put_nowait
        self._reachable = reachable
        fabric.open_socket(token, self._say, lambda: self._frames.put_nowait(None))

    def _ask(self, call: Callable[[], Any]) -> Any:
        if not self._reachable():
            raise ApicError("no route to host")
        try:
            return call()
        except FabricAnswerError as error:
            raise ApicError(f"{error.status}: {error}") from error

    async def renew(self) -> None:
        self._token, self.lasts = self._ask(lambda: self._fabric.renew(self._token))

    async def subscribe(self, query: Query) -> Snapshot:
        path, _, parameters = query.path.removeprefix("/api/").partition("?")
        wanted = dict(one.split("=", 1) for one in parameters.split("&") if one)
        path = path.removesuffix(".json")
        answer = self._ask(lambda: self._fabric.query(self._token, path, {**wanted, "subscription": "yes"}))
        objects = [(kind, content["attributes"]) for one in answer["imdata"] for kind, content in one.items()]
        return Snapshot(answer["subscriptionId"], objects)

    async def refresh(self, subscription: str) -> None:
        self._ask(lambda: self._fabric.refresh(self._token, subscription))

    async def frames(self) -> AsyncIterator[str | bytes]:
        while (frame := await self._frames.get()) is not None:
            yield frame

    async def close(self) -> None:
        self._fabric.close_socket(self._say)
        self._frames.put_nowait(None)


class LocalController:
    """Stands in for an `ApicClient`."""

    place = "here"

    def __init__(self, fabric: StandInFabric) -> None:
        self.reachable = True
        self._fabric = fabric

    @asynccontextmanager
    async def open(self) -> AsyncIterator[LocalFabric]:
        if not self.reachable:
            raise ApicError("no route to host")
        token, lasts = self._fabric.login(TOKEN)
        yield LocalFabric(self._fabric, token, lasts, lambda: self.reachable)


class Week:
    """A fabric and a relay's listener, and what becomes of both."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)  # noqa: S311
        self.clock = VirtualClock()
        self.shelf = Shelf(self.dice)
        self.fabric = StandInFabric(self.clock.now, TOKEN)
        self.controller = LocalController(self.fabric)
        self.happened: dict[str, list[str]] = defaultdict(list)
        self.free_at: dict[str, float] = {}
        self.relay: asyncio.Task[None] | None = None
        self.back_at = 0.0
        self.log = io.StringIO()

    def start(self) -> None:
        log = make_log("info", self.log)
        numbers = itertools.count()
        intake = Intake(
            self.shelf,
            self.clock,
            lambda _: f"e{next(numbers)}",
            Metrics(["fabric"], {}, 0),
            log,
            Arrivals(self.shelf, self.clock),
            lambda: True,
            str,
        )
        staying = Staying("fabric", self.clock, log, lambda *_: None, lambda _: None, Redactor())
        controllers: list[Any] = [self.controller]
        defaults = SourceDefaults(source="fabric", format="apic")
        listener = ApicListener(controllers, QUERIES, defaults, staying, intake, self.clock)
        self.relay = asyncio.get_running_loop().create_task(listener.run())

    async def kill(self) -> None:
        assert self.relay is not None
        self.relay.cancel()
        await asyncio.wait([self.relay])

    async def trouble(self) -> None:
        match self.dice.randrange(6):
            case 0:
                self.fabric.drop_sockets()
            case 1:
                self.fabric.lose_subscriptions()
            case 2:
                self.fabric.lose_sockets()
            case 3:
                self.fabric.expire_tokens()
            case 4:
                await self.kill()
                self.start()
            case _:
                self.controller.reachable = False
                self.back_at = max(self.back_at, self.clock.time) + self.dice.uniform(1.0, 600.0)
                self.fabric.drop_sockets()

    def change(self) -> None:
        """Something happens to one of the faults or tenants, each of which then rests for half an hour."""
        number = self.dice.randrange(60)
        dn = f"topology/pod-1/node-{101 + number}/fault-F0532" if number < 50 else f"uni/tn-{number}"
        if self.free_at.get(dn, 0.0) > self.clock.time:
            return
        self.free_at[dn] = self.clock.time + 1_800.0
        if number >= 50:
            self.change_tenant(dn)
        elif not self.happened[dn] or self.happened[dn][-1] == "resolved":
            raised(self.fabric, dn)
            self.happened[dn].append("firing")
        else:
            if self.dice.random() < 0.5:
                cleared(self.fabric, dn)
            else:
                self.fabric.remove(dn)
            self.happened[dn].append("resolved")

    def change_tenant(self, dn: str) -> None:
        if dn not in self.fabric.objects:
            self.fabric.put("fvTenant", dn, name=dn, descr="")
            self.happened[dn].append("created")
        elif self.dice.random() < 0.5:
            self.fabric.put("fvTenant", dn, descr=str(self.clock.time))
            self.happened[dn].append("modified")
        else:
            self.fabric.remove(dn)
            self.happened[dn].append("deleted")


@pytest.mark.parametrize("seed", range(3))
async def test_a_week_of_drops_expiries_and_restarts_misses_nothing_and_tells_nothing_twice(seed: int) -> None:
    week = Week(seed)
    week.start()
    await week.clock.run_until(week.clock.time + 60)
    begun = week.clock.time
    troubles = sorted(begun + week.dice.random() * 604_800 for _ in range(1_000))
    changes = sorted(begun + week.dice.random() * 604_800 for _ in range(4_000))
    moments = sorted([*((at, "trouble") for at in troubles), *((at, "change") for at in changes)])
    for at, what in moments:
        await week.clock.run_until(min(at, week.back_at))
        week.controller.reachable = at >= week.back_at
        await week.clock.run_until(at)
        if what == "change":
            week.change()
        else:
            await week.trouble()
    week.controller.reachable = True
    await week.clock.run_until(begun + 604_800 + 3_600)
    await week.kill()
    assert sum(map(len, week.happened.values())) > 1_000
    assert {dn: told for dn, told in week.shelf.told.items() if told} == dict(week.happened), differing(week)
    assert "bug" not in week.log.getvalue()


def differing(week: Week) -> dict[str, tuple[list[str], list[str]]]:
    """What is wrong, for reading."""
    return {
        dn: (week.shelf.told[dn], happened) for dn, happened in week.happened.items() if week.shelf.told[dn] != happened
    }


class Dropping(LocalController):
    """A controller that takes the login and the subscriptions, and drops each websocket at once."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[LocalFabric]:
        async with super().open() as fabric:
            await fabric.close()
            yield fabric


async def test_a_fabric_that_drops_each_websocket_is_told_once() -> None:
    week, told = Week(1), []
    week.controller = Dropping(week.fabric)
    log = make_log("info", week.log)
    intake = Intake(
        week.shelf,
        week.clock,
        lambda _: "e",
        Metrics(["fabric"], {}, 0),
        log,
        Arrivals(week.shelf, week.clock),
        lambda: True,
        str,
    )
    staying = Staying("fabric", week.clock, log, lambda: told.append(staying.is_down), lambda _: None, Redactor())
    controllers: list[Any] = [week.controller]
    defaults = SourceDefaults(source="fabric", format="apic")
    listener = ApicListener(controllers, QUERIES, defaults, staying, intake, week.clock)
    week.relay = asyncio.get_running_loop().create_task(listener.run())
    await week.clock.run_until(week.clock.now() + 3_600.0)
    await week.kill()
    assert told == [True]


def test_a_query_is_written_as_an_apic_reads_it() -> None:
    assert Query(kind="faultInst", filter='ne(faultInst.severity,"info")').path == (
        '/api/class/faultInst.json?query-target-filter=ne(faultInst.severity,"info")'
    )
    dn = "topology/pod-1/node-101/sys/phys-[eth1/1]"
    assert Query(dn=dn, target="subtree", target_class="faultInst").path == (
        f"/api/mo/{dn}.json?query-target=subtree&target-subtree-class=faultInst"
    )
    client = ApicClient(url="https://user:secret@apic1", username="u", password=None, max_body=1, redactor=Redactor())  # type: ignore[arg-type]
    assert client.place == "https://apic1"
