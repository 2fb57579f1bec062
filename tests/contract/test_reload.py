"""Reloading: what changes is put in force at once, what does not goes on, and a bad configuration changes nothing."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

import aiohttp
import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve

from relay.app.running.doors import Doors
from relay.formats import FORMATS
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from relay.settings.load import load
from relay.settings.problems import ConfigurationError
from tests.fakes.running import ROOM, TOKEN, Running, running

LAB: dict[str, Any] = {"lab": {"type": "webhook"}}
OTHER = {"account": "webex", "title": "OTHER", "create": True}
FIRING = {"title": "link down", "severity": "major", "status": "firing", "key": "k1"}


async def test_new_sources_rooms_and_routes_are_in_force_at_once(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox) as relay:
        assert (await relay.post({"title": "x"}, "/hooks/new"))[0] == 404
        status, said = await relay.reload(
            sources={**LAB, "new": {"type": "webhook"}},
            rooms={"noc": ROOM, "other": OTHER},
            route={"rooms": ["noc"], "routes": [{"matchers": ['source="new"'], "rooms": ["other"]}]},
        )
        assert (status, said["good"], said["restart_needed"]) == (200, True, [])
        assert (await relay.post({"title": "for the other"}, "/hooks/new"))[0] == 202
        await relay.until(lambda: len(relay.messages("OTHER")) == 1)
        assert (await relay.reload())[0] == 200
        assert (await relay.post({"title": "x"}, "/hooks/new"))[0] == 404
        _, metrics = await relay.get("/metrics")
        assert 'room="other"' not in metrics
        assert 'source="new"' not in metrics
        assert 'relay_events_received_total{source="lab",status="notice"} 0.0' in metrics
        assert 'relay_template_failures_total{template="(built-in)"} 0.0' in metrics
        assert (await relay.reload(templates={"short": "{{ title }}"}))[0] == 200
        assert 'relay_template_failures_total{template="short"} 0.0' in (await relay.get("/metrics"))[1]


async def test_a_bad_configuration_changes_nothing_and_the_operator_hears_of_it(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    operator = {"operator": {"room": "noc"}}
    async with running(tmp_path, sandbox, **operator) as relay:
        wrong = {"route": {"rooms": ["nowhere"]}, "sources": {"lab": {"type": "web"}}, "templates": {"t": "{{ x("}}
        status, said = await relay.reload(**operator, **wrong)
        assert status == 422
        assert said["good"] is False
        paths = {problem["path"] for problem in said["problems"]}
        assert {"route.rooms[0]", "templates.t"} <= paths
        assert any(path.startswith("sources.lab") for path in paths)
        assert all(problem["file"] == str(relay.file) and problem["line"] >= 1 for problem in said["problems"])
        await relay.until(lambda: any("configuration was refused" in m.text for m in relay.messages()))
        assert "route.rooms" in next(m.text for m in relay.messages() if "configuration was refused" in m.text)
        assert (await relay.post({"title": "goes on"}))[0] == 202
        await relay.until(lambda: any("goes on" in m.text for m in relay.messages()))
        _, metrics = await relay.get("/metrics")
        assert "relay_config_last_reload_successful 0.0" in metrics
        _, state = await relay.get("/api/v1/status")
        assert state["config"]["last_reload_good"] is False
        assert state["config"]["problems"] == len(said["problems"])
        assert (await relay.reload(**operator))[0] == 200
        await relay.until(lambda: any("resolved" in m.text.lower() for m in relay.messages()))
        _, metrics = await relay.get("/metrics")
        assert "relay_config_last_reload_successful 1.0" in metrics


async def test_what_is_no_yaml_or_lacks_a_secret_is_refused_with_its_place(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox) as relay:
        relay.file.write_text("rooms: [", encoding="utf-8")
        async with relay.session.post(f"{relay.admin}/-/reload") as answer:
            assert answer.status == 422
            assert (await answer.json())["problems"][0]["line"] >= 1
        lacks = {"lab": {"type": "webhook", "auth": {"bearer": {"file": "not-there"}}}}
        status, said = await relay.reload(sources=lacks)
        assert status == 422
        assert "not-there" in said["problems"][0]["message"]
        lacks["other"] = {"type": "webhook", "auth": {"bearer": {"env": "RELAY_NOT_SET"}}}
        status, said = await relay.reload(sources=lacks)
        assert [one["path"] for one in said["problems"]] == [
            "sources.lab.auth.bearer[0]",
            "sources.other.auth.bearer[0]",
        ]
        assert all(one["column"] > 1 for one in said["problems"])
        status, said = await relay.reload(templates={"t": "{% for _ in range(10**9) %}{% endfor %}"})
        assert status == 422
        assert "does not end" in said["problems"][0]["message"] or "fails" in said["problems"][0]["message"]
        assert (await relay.post({"title": "still here"}))[0] == 202


class Feeds:
    """Websocket servers that count who connects."""

    def __init__(self) -> None:
        self.connections = {"a": 0, "b": 0}
        self.open: dict[str, set[ServerConnection]] = {"a": set(), "b": set()}
        self.changed = asyncio.Event()

    async def serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        name = connection.request.path.strip("/")
        self.connections[name] += 1
        self.open[name].add(connection)
        self.changed.set()
        await connection.wait_closed()
        self.open[name].discard(connection)
        self.changed.set()

    async def until(self, **counts: int) -> None:
        async with asyncio.timeout(20):
            while {name: len(there) for name, there in self.open.items()} != {"a": 0, "b": 0, **counts}:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def two_feeds() -> AsyncIterator[tuple[Feeds, str]]:
    feeds = Feeds()
    async with serve(feeds.serve, "127.0.0.1", 0) as server:
        yield feeds, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_feeds_are_connected_again_only_where_they_changed(tmp_path: Path, sandbox: Sandbox) -> None:
    async with two_feeds() as (feeds, url):
        a: dict[str, Any] = {"type": "websocket", "url": f"{url}/a"}
        b: dict[str, Any] = {"type": "websocket", "url": f"{url}/b"}
        async with running(tmp_path, sandbox, sources={"a": a, "b": b}) as relay:
            await feeds.until(a=1, b=1)
            listens = {**a, "silent_after": "10m"}
            assert (await relay.reload(sources={"a": listens, "b": {**b, "labels": {"site": "ams"}}}))[0] == 200
            await feeds.until(a=1, b=1)
            async with asyncio.timeout(20):
                while feeds.connections != {"a": 1, "b": 2}:
                    feeds.changed.clear()
                    await feeds.changed.wait()
            await feeds.until(a=1, b=1)
            (socket,) = feeds.open["b"]
            await socket.send('{"title": "from b"}')
            await relay.until(lambda: any("from b" in m.text for m in relay.messages()))
            assert (await relay.reload(sources={"a": listens}))[0] == 200
            await feeds.until(a=1)
            assert feeds.connections["a"] == 1
            _, state = await relay.get("/api/v1/status")
            assert [feed["source"] for feed in state["feeds"]] == ["a"]
            _, metrics = await relay.get("/metrics")
            assert 'relay_feed_connected{source="a"} 1.0' in metrics
            assert 'relay_feed_connected{source="b"}' not in metrics


async def in_flight(relay: Running) -> asyncio.Task[None]:
    """The send that has begun, once it has."""
    await relay.until(relay.daemon.pipeline.dispatcher.in_flight)
    (task,) = relay.daemon.pipeline.dispatcher.in_flight()
    return task


async def test_a_send_in_flight_goes_on_and_nothing_is_doubled(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox) as relay:
        sandbox.state.faults = [Fault(latency=1.0, count=1)]
        await relay.post({"title": "slow"})
        assert not (await in_flight(relay)).done()
        account = {"type": "webex", "url": f"{sandbox.address}/v1", "token": TOKEN, "pace": "100/s", "proxy": None}
        assert (await relay.reload(accounts={"webex": account}))[0] == 200
        await relay.post({"title": "next"})
        await relay.until(lambda: len(relay.messages()) == 2)
        assert [m.text.splitlines()[0].split(" · ")[1] for m in relay.messages()] == ["slow", "next"]
        done = await relay.until_state("done", 2)
        assert len(done) == 2
        _, metrics = await relay.get("/metrics")
        assert 'relay_ambiguous_sends_total{account="webex"} 0.0' in metrics


@pytest.mark.parametrize(
    "between",
    [{"rooms": {"noc": {**ROOM, "title": "OTHER"}}}, {"rooms": {"other": OTHER}, "route": {"rooms": ["other"]}}],
    ids=["moved", "gone"],
)
async def test_two_reloads_during_one_send_double_nothing(
    tmp_path: Path, sandbox: Sandbox, between: dict[str, Any]
) -> None:
    async with running(tmp_path, sandbox) as relay:
        await relay.post({"title": "the room is there"})
        await relay.until(lambda: len(relay.messages()) == 1)
        sandbox.state.faults = [Fault(latency=1.5, count=1)]
        await relay.post(FIRING)
        first = await in_flight(relay)
        assert (await relay.reload(**between))[0] == 200
        assert (await relay.reload())[0] == 200
        await relay.post({**FIRING, "title": "for long"})
        await relay.post({**FIRING, "status": "resolved"})
        await first
        await relay.until(lambda: any("resolved" in m.text.lower() for m in relay.messages()))
        await relay.until_state("done", 4)
        assert ["resolved" in m.text for m in relay.messages() if m.parent is None] == [False, True]


async def test_a_refused_account_goes_on_with_its_new_token(tmp_path: Path, sandbox: Sandbox) -> None:
    account = {"type": "webex", "url": f"{sandbox.address}/v1"}
    async with running(tmp_path, sandbox, accounts={"webex": {**account, "token": "wrong"}}) as relay:
        await relay.post({"title": "waits for a token"})
        await relay.until_shown("/api/v1/status", lambda status: status["accounts"][0]["refused"])
        assert (await relay.reload(accounts={"webex": {**account, "token": TOKEN}}))[0] == 200
        await relay.until(lambda: len(relay.messages()) == 1)


async def test_what_waits_for_a_room_that_is_gone_is_dead_and_replayable(tmp_path: Path, sandbox: Sandbox) -> None:
    rooms = {"noc": ROOM, "other": OTHER}
    async with running(tmp_path, sandbox, rooms=rooms, route={"rooms": ["other"]}) as relay:
        sandbox.state.faults = [Fault(status=503)]
        await relay.post({"title": "for the other"})
        await relay.until_state("waiting")
        assert (await relay.reload())[0] == 200
        (dead,) = await relay.until_state("dead")
        assert dead["reason"] == "unknown_room"
        sandbox.state.faults = []
        assert (await relay.reload(rooms=rooms))[0] == 200
        async with relay.session.post(f"{relay.admin}/api/v1/deliveries/retry", json={"ids": [dead["id"]]}) as answer:
            assert answer.status == 200
        await relay.until(lambda: len(relay.messages("OTHER")) == 1)


async def test_what_ended_while_its_room_was_gone_is_told_when_it_is_back(tmp_path: Path, sandbox: Sandbox) -> None:
    both: dict[str, Any] = {"rooms": {"noc": ROOM, "other": OTHER}, "route": {"rooms": ["other"]}}
    async with running(tmp_path, sandbox, **both) as relay:
        await relay.post(FIRING)
        await relay.until(lambda: len(relay.messages("OTHER")) == 1)
        assert (await relay.reload())[0] == 200
        await relay.post({**FIRING, "status": "resolved"})
        await relay.post({"title": "planned behind it"})
        await relay.until(lambda: any("planned behind it" in m.text for m in relay.messages()))
        assert "resolved" not in relay.messages("OTHER")[0].text
        assert (await relay.reload(**both))[0] == 200
        await relay.until(lambda: "resolved" in relay.messages("OTHER")[0].text)


async def test_rules_that_hold_an_alert_back_are_looked_at_again(tmp_path: Path, sandbox: Sandbox) -> None:
    always = [{"name": "always", "time_intervals": [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]}]
    muted = {"rooms": ["noc"], "routes": [{"matchers": ['key="k1"'], "mute_time_intervals": ["always"]}]}
    async with running(tmp_path, sandbox, time_intervals=always, route=muted) as relay:
        await relay.post(FIRING)
        await relay.until_shown("/api/v1/incidents")
        assert relay.messages() == []
        assert (await relay.reload())[0] == 200
        await relay.until(lambda: len(relay.messages()) == 1)


async def test_what_inhibits_is_known_after_a_reload(tmp_path: Path, sandbox: Sandbox) -> None:
    rule = {"source_matchers": ['key="power"'], "target_matchers": ['key="k1"']}
    async with running(tmp_path, sandbox) as relay:
        await relay.post({**FIRING, "key": "power", "title": "no power"})
        await relay.until(lambda: len(relay.messages()) == 1)
        assert (await relay.reload(inhibit_rules=[rule]))[0] == 200
        _, (event_id,) = (await relay.post(FIRING))[0], (await relay.post({**FIRING, "key": "k1"}))[1]["ids"]
        await relay.post({"title": "last"})
        await relay.until(lambda: any("last" in m.text for m in relay.messages()))
        assert not any("link down" in m.text for m in relay.messages())
        assert (await relay.get(f"/api/v1/events/{event_id}"))[1]["suppressed"] in ("inhibited", "repeat")


async def test_what_only_a_restart_changes_is_named(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox) as relay:
        listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:1"}
        status, said = await relay.reload(listen=listen, storage=f"sqlite:{tmp_path}/other.db", stop_grace="1s")
        assert (status, said["restart_needed"]) == (200, ["listen.admin", "storage"])
        _, state = await relay.get("/api/v1/status")
        assert state["config"]["restart_needed"] == ["listen.admin", "storage"]
        assert relay.daemon.settings().stop_grace == 1.0


async def test_a_door_that_stands_open_is_not_left_unlocked(tmp_path: Path, sandbox: Sandbox) -> None:
    locked = {"lab": {"type": "webhook", "auth": {"bearer": "let-me-in"}}}
    open_ = {"events": "0.0.0.0:0", "admin": "0.0.0.0:0"}
    async with running(tmp_path, sandbox, listen={**open_, "admin_token": "of-the-desk"}, sources=locked) as relay:
        relay.session.headers["Authorization"] = "Bearer of-the-desk"
        status, said = await relay.reload(listen={"events": "127.0.0.1:0", "admin": "127.0.0.1:0"})
        assert status == 422
        assert {problem["path"] for problem in said["problems"]} == {"listen.admin", "sources.lab"}
        assert all("0.0.0.0:0" in problem["message"] for problem in said["problems"])
        assert (await relay.get("/api/v1/status", headers={"Authorization": "Bearer wrong"}))[0] == 401
        assert (await relay.post({"title": "x"}))[0] == 401
        closed = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "admin_token": "another"}
        assert (await relay.reload(listen=closed, sources=locked))[0] == 200


def test_a_socket_that_was_handed_over_is_not_left_unlocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = socket.create_server(("0.0.0.0", 0))
    monkeypatch.setattr("relay.app.running.doors.inherited_sockets", lambda: {"events": taken})
    file = tmp_path / "relay.yaml"
    accounts = {"webex": {"type": "webex", "url": "http://127.0.0.1:1/v1", "token": TOKEN}}
    written = {"sources": LAB, "rooms": {"noc": ROOM}, "accounts": accounts, "route": {"rooms": ["noc"]}}
    file.write_text(json.dumps(written), encoding="utf-8")
    with taken, pytest.raises(ConfigurationError, match=r"this process listens at 0\.0\.0\.0"):
        Doors(load(file, FORMATS))


async def test_a_watched_configuration_is_loaded_when_a_file_of_it_changes(tmp_path: Path, sandbox: Sandbox) -> None:
    template = tmp_path / "t.md.j2"
    template.write_text("one {{ title }}", encoding="utf-8")
    route = {"rooms": ["noc"], "template": "t"}
    changes = {"watch": True, "templates": {"t": {"file": "t.md.j2"}}, "route": route}
    async with running(tmp_path, sandbox, **changes) as relay:
        await relay.post({"title": "x"})
        await relay.until(lambda: any(m.text.startswith("one x") for m in relay.messages()))
        template.write_text("{{ broken", encoding="utf-8")
        await relay.until_shown("/api/v1/status", lambda status: not status["config"]["last_reload_good"])
        template.write_text("another {{ title }}", encoding="utf-8")
        await relay.until_shown("/api/v1/status", lambda status: status["config"]["last_reload_good"])
        await relay.post({"title": "y"})
        await relay.until(lambda: any(m.text.startswith("another y") for m in relay.messages()))


async def test_push_connections_end_only_where_their_source_changed(tmp_path: Path, sandbox: Sandbox) -> None:
    source = {"type": "push", "auth": {"bearer": "between-us"}}
    headers = {"Authorization": "Bearer between-us"}
    async with running(tmp_path, sandbox, sources={"a": source, "b": source}) as relay:
        address = relay.events.replace("http", "ws")
        async with (
            relay.session.ws_connect(f"{address}/push/a", headers=headers) as a,
            relay.session.ws_connect(f"{address}/push/b", headers=headers) as b,
        ):
            changed = {**source, "labels": {"site": "ams"}}
            assert (await relay.reload(sources={"a": source, "b": changed}))[0] == 200
            assert (await b.receive(timeout=20)).type is aiohttp.WSMsgType.CLOSE
            await a.send_json({"title": "x", "id": 1})
            assert await a.receive_json(timeout=20) == {"ack": [1]}


async def test_fifty_reloads_good_and_bad_lose_nothing_and_double_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    async with two_feeds() as (feeds, url):
        a = {"a": {"type": "websocket", "url": f"{url}/a"}}
        async with running(tmp_path, sandbox, sources={**LAB, **a}) as relay:
            await feeds.until(a=1)
            requests, taken = asyncio.Semaphore(0), 0

            async def post() -> None:
                """Post during each reload: as many events as there are reloads, however slow the machine."""
                nonlocal taken
                while taken < 1_000:
                    await requests.acquire()
                    status, _ = await relay.post([{"title": f"event {taken + n}"} for n in range(10)])
                    assert status == 202
                    taken += 10

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(post())
                for number in range(25):
                    for _ in range(4):
                        requests.release()
                    sources = {**LAB, **a, f"extra{number}": {"type": "webhook"}}
                    assert (await relay.reload(sources=sources))[0] == 200
                    assert (await relay.reload(sources=a, route={"rooms": ["nowhere"]}))[0] == 422
            await relay.until_state("done", taken)
            titles = [m.text.splitlines()[0].split(" · ")[1] for m in relay.messages()]
            assert titles == [f"event {number}" for number in range(taken)]
            assert feeds.connections["a"] == 1
            assert taken == 1_000


async def test_the_configuration_is_told_without_its_secrets(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITE", "hidden-six")
    monkeypatch.setenv("KIND", "webhook")
    sources = {
        "lab": {"type": "webhook", "auth": {"bearer": ["hidden-one", {"env": "PATH"}]}},
        "old": {"type": "webhook", "auth": {"bearer": "hidden-two"}},
        "feed": {
            "type": "websocket",
            "url": "ws://me:hidden-three@127.0.0.1:9/x?token=hidden-four",
            "send": [{"subscribe": {"key": "hidden-five", "all": ["hidden-eight", 1]}}, "PASS hidden-nine"],
        },
        "open": {"type": "${KIND}", "auth": "none", "labels": {"site": "at ${SITE}", "costs": "$${SITE}"}},
    }
    async with running(tmp_path, sandbox, sources=sources, limits={"queue": 77}) as relay:
        _, config = await relay.get("/api/v1/config")
        assert "hidden" not in json.dumps(config)
        assert TOKEN not in json.dumps(config)
        assert "queue: 77" in config["yaml"]
        assert "env: PATH" in config["yaml"]
        assert "auth: none" in config["yaml"]
        assert "type: ${KIND}" in config["yaml"]
        assert "site: at ${SITE}" in config["yaml"]
        assert "costs: $${SITE}" in config["yaml"]
        assert "subscribe:" in config["yaml"]
        assert relay.daemon.settings().sources["open"].labels == {"site": "at hidden-six", "costs": "${SITE}"}
        assert config["file"] == str(relay.file)
        _, rooms = await relay.get("/api/v1/rooms")
        assert [(one["room"], one["account"], one["address"]) for one in rooms] == [("noc", "webex", "NOC")]
        _, listed = await relay.get("/api/v1/sources")
        assert [(one["source"], one["type"], one["path"]) for one in listed] == [
            ("lab", "webhook", "/hooks/lab"),
            ("old", "webhook", "/hooks/old"),
            ("feed", "websocket", None),
            ("open", "webhook", "/hooks/open"),
        ]


async def test_a_renewed_certificate_is_shown_after_a_reload(tmp_path: Path, sandbox: Sandbox) -> None:
    authority = trustme.CA()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def issue() -> str:
        made = authority.issue_cert("127.0.0.1")
        cert.write_bytes(made.cert_chain_pems[0].bytes())
        key.write_bytes(made.private_key_pem.bytes())
        return made.cert_chain_pems[0].bytes().decode()

    first = issue()
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "tls": {"cert": str(cert), "key": str(key)}}
    async with running(tmp_path, sandbox, listen=listen) as relay:
        address = relay.daemon.events_address
        place = (address.host, address.port)

        async def shown() -> str:
            return await asyncio.to_thread(ssl.get_server_certificate, place)

        assert same_certificate(await shown(), first)
        second = issue()
        assert (await relay.daemon.reloader.reload()).good
        assert same_certificate(await shown(), second)
        key.write_text("nothing", encoding="utf-8")
        done = await relay.daemon.reloader.reload()
        assert not done.good
        assert "is not PEM" in done.problems[0].message
        assert same_certificate(await shown(), second)


def same_certificate(one: str, other: str) -> bool:
    return ssl.PEM_cert_to_DER_cert(one) == ssl.PEM_cert_to_DER_cert(other)


async def test_a_stop_in_the_middle_of_a_reload_ends_all_the_same(tmp_path: Path, sandbox: Sandbox) -> None:
    async with two_feeds() as (feeds, url):
        a: dict[str, Any] = {"type": "websocket", "url": f"{url}/a"}
        async with running(tmp_path, sandbox, sources={"a": a}) as relay:
            await feeds.until(a=1)
            relay.write(sources={"a": {**a, "labels": {"n": "1"}}, "b": {**a, "url": f"{url}/b"}})
            await relay.daemon.pipeline.planner.turn.acquire()
            reloading = asyncio.ensure_future(relay.daemon.reloader.reload())  # noqa: TID251 - outlives the block
            await relay.until(lambda: relay.daemon.pipeline.planner.turn._waiters)  # it waits for its turn
            relay.daemon.pipeline.planner.nudge()
            asyncio.get_running_loop().call_soon(relay.daemon.pipeline.planner.turn.release)
            relay.lifecycle.stop()
        await reloading
        await feeds.until()


async def test_a_file_that_is_written_to_still_is_not_taken_for_a_new_configuration(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    async with running(tmp_path, sandbox) as relay:
        reloader = relay.daemon.reloader
        relay.write(limits={"queue": 1})
        assert await reloader._has_changed() is False
        relay.file.write_text("half: [", encoding="utf-8")
        assert await reloader._has_changed() is False
        assert await reloader._has_changed() is True


def another(dice: Random, sandbox: Sandbox) -> dict[str, Any]:
    """A good configuration that differs in much: where rooms are, whose they are, fallbacks, routes, times."""
    webex = {"type": "webex", "url": f"{sandbox.address}/v1", "token": TOKEN}
    spika = {"type": "spika", "url": sandbox.address, "access_token": TOKEN}
    titles = dice.sample(["A", "B", "C"], 3)
    rooms: dict[str, Any] = {
        name: {
            "account": dice.choice(["webex", "two"]),
            "title": dice.choice([titles[place], titles[0]]),
            "create": True,
            "digest_over": 100_000,
            **({"fallback": "backup", "fallback_after": "1s"} if dice.random() < 0.3 else {}),
        }
        for place, name in enumerate(("x", "y", "z"))
    }
    rooms["backup"] = {"account": "spika", "id": 5, "digest_over": 100_000}
    always = {"name": "always", "time_intervals": [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]}
    routes: list[dict[str, Any]] = [
        {"matchers": [f'key=~".*{digit}"'], "rooms": [dice.choice(sorted(rooms))]} for digit in dice.sample("012345", 4)
    ]
    if dice.random() < 0.5:
        routes[0]["mute_time_intervals"] = ["always"]
    return {
        "accounts": {"webex": {**webex, "pace": f"{dice.choice([100, 200])}/s"}, "two": webex, "spika": spika},
        "rooms": rooms,
        "time_intervals": [always],
        "route": {"rooms": ["x"], "routes": routes},
    }


async def test_whatever_a_reload_changes_each_alert_is_told_once(tmp_path: Path, sandbox: Sandbox) -> None:
    dice = Random(7)  # noqa: S311 - a seeded history
    async with running(tmp_path, sandbox, **another(dice, sandbox)) as relay:
        posted = 0
        for _ in range(25):
            alerts = [{**FIRING, "title": f"event {posted + n}", "key": f"k{posted + n}"} for n in range(8)]
            assert (await relay.post(alerts))[0] == 202
            posted += len(alerts)
            refuses = Fault(status=503, room=dice.choice("ABC"), count=dice.choice([1, 5]))
            sandbox.state.faults = [refuses, Fault(latency=dice.choice([0.0, 0.1, 0.4]), count=3)]
            assert (await relay.reload(**another(dice, sandbox)))[0] == 200
        sandbox.state.faults = []
        last = another(dice, sandbox)
        assert (await relay.reload(**{**last, "route": {"rooms": ["x"]}}))[0] == 200

        def told() -> Counter[str]:
            found = [m.text for room in sandbox.state.rooms.values() for m in room.messages.values()]
            return Counter(title for text in found for title in re.findall(r"event \d+", text.splitlines()[0]))

        await relay.until(lambda: len(told()) == posted)
        assert set(told().values()) == {1}


async def test_templates_that_never_end_hold_up_no_webhook(tmp_path: Path, sandbox: Sandbox) -> None:
    endless = "{% for _ in range(99999) %}{% for _ in range(99999) %}{% endfor %}{% endfor %}"
    templates = {"power": "{{ 10 ** (10 ** 8) }}", "text": "{{ 'a' * 3000000000 }}"}
    async with running(tmp_path, sandbox) as relay, asyncio.TaskGroup() as tasks:
        reloading = tasks.create_task(relay.reload(templates={f"t{n}": endless for n in range(6)} | templates))
        longest, now = 0.0, asyncio.get_running_loop().time
        while not reloading.done():
            began = now()
            assert (await relay.post({"title": "in between"}))[0] == 202
            longest = max(longest, now() - began)
        status, said = await reloading
        assert status == 422
        problems = {one["path"]: one["message"] for one in said["problems"]}
        assert set(problems) == {*(f"templates.t{n}" for n in range(6)), "templates.power", "templates.text"}
        for message in problems.values():
            assert message.startswith("fails on a sample firing event: line 1: takes over 500,000 steps of work")
        assert longest < 1.5


async def test_what_nobody_foresaw_is_refused_and_the_relay_goes_on(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, sandbox) as relay:
        deep = {"each": "@", "title": "(" * 3_000 + "x" + ")" * 3_000}
        status, said = await relay.reload(sources={"lab": {"type": "webhook", "map": deep}})
        assert status == 422
        assert "nested too deeply" in said["problems"][0]["message"]
        with monkeypatch.context() as within:
            within.setattr("relay.app.assembly.arrangement.compile_rules", lambda _: 1 / 0)
            status, said = await relay.reload()
            assert status == 422
            assert "ZeroDivisionError" in said["problems"][0]["message"]
        assert (await relay.post({"title": "still here"}))[0] == 202
        assert (await relay.reload())[0] == 200


async def test_a_template_that_was_the_reason_of_a_refusal_is_watched(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, watch=True) as relay:
        template = tmp_path / "t.md.j2"
        changes = {"watch": True, "templates": {"t": {"file": "t.md.j2"}}, "route": {"rooms": ["noc"], "template": "t"}}
        for broken in (None, "{{ broken"):
            if broken is not None:
                template.write_text(broken, encoding="utf-8")
            assert (await relay.reload(**changes))[0] == 422
        template.write_text("mended {{ title }}", encoding="utf-8")
        await relay.until_shown("/api/v1/status", lambda status: status["config"]["last_reload_good"])
        await relay.post({"title": "x"})
        await relay.until(lambda: any(m.text.startswith("mended x") for m in relay.messages()))


async def test_a_reload_during_a_stop_says_that_it_did_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox) as relay:
        relay.write(sources={})
        relay.lifecycle.stop()
        done = await relay.daemon.reloader.reload()
        assert not done.good
        assert "stops" in done.problems[0].message
        assert "lab" in relay.daemon.settings().sources


async def test_what_a_person_sends_is_not_cut_by_a_reload(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox) as relay, asyncio.TaskGroup() as tasks:
        await relay.post({"title": "the room is there"})
        await relay.until(lambda: len(relay.messages()) == 1)
        sandbox.state.faults = [Fault(latency=1.0, count=1)]
        requests = sandbox.state.requests
        body = {"room": "noc", "markdown": "by hand"}

        async def send() -> str:
            async with relay.session.post(f"{relay.admin}/api/v1/messages", json=body) as answer:
                return str((await answer.json())["outcome"])

        sent = tasks.create_task(send())
        await relay.until(lambda: sandbox.state.requests > requests)
        account = {"type": "webex", "url": f"{sandbox.address}/v1", "token": TOKEN, "proxy": "http://127.0.0.1:9"}
        assert (await relay.reload(accounts={"webex": account}))[0] == 200
        assert not sent.done()
        assert await sent == "delivered"


async def test_slow_explanations_hold_up_neither_webhook_nor_reload(tmp_path: Path, sandbox: Sandbox) -> None:
    endless = "{% for _ in range(99999) %}{% for _ in range(99999) %}{% endfor %}{% endfor %}"
    changes = {
        "templates": {"t": f"a{{% if title == 'endless' %}}{endless}{{% endif %}}"},
        "route": {"rooms": ["noc"], "template": "t"},
    }
    async with running(tmp_path, sandbox, **changes) as relay, asyncio.TaskGroup() as tasks:
        body = {"source": "lab", "payload": [{"title": "endless"}] * 20}

        async def explain() -> list[Any]:
            async with relay.session.post(f"{relay.admin}/api/v1/explain", json=body) as answer:
                assert answer.status == 200
                return list(await answer.json())

        asked = [tasks.create_task(explain()) for _ in range(4)]
        longest, now = 0.0, asyncio.get_running_loop().time
        while not all(one.done() for one in asked):
            began = now()
            assert (await relay.post({"title": "in between"}))[0] == 202
            longest = max(longest, now() - began)
        assert longest < 3
        for trails in [one.result() for one in asked]:
            for trail in trails:
                (failure,) = trail["template_failures"]
                assert failure.startswith("template t: line 1: takes over 500,000 steps of work")
                assert trail["deliveries"][0]["markdown"].startswith("🔵")
        assert (await relay.reload(**changes))[0] == 200


def moved(dice: Random, sandbox: Sandbox) -> dict[str, Any]:
    """The same room, somewhere else, by this account or that."""
    webex = {"type": "webex", "url": f"{sandbox.address}/v1", "token": TOKEN}
    names = dice.choice([["x"], ["x", "y"]])
    rooms = {
        name: {"account": dice.choice(["webex", "two"]), "title": dice.choice("ABC"), "create": True} for name in names
    }
    accounts = {"webex": {**webex, "pace": f"{dice.choice([100, 200])}/s"}, "two": webex}
    return {
        "accounts": accounts,
        "rooms": {name: {**room, "digest_over": 10_000} for name, room in rooms.items()},
        "route": {"rooms": ["x"]},
    }


async def test_each_alert_has_one_message_that_lives_on_wherever_its_room_moves(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    dice = Random(3)  # noqa: S311 - a seeded history

    def alert(n: int, **changes: str) -> dict[str, str]:
        return {**FIRING, "title": f"event {n}", "key": f"k{n}", **changes}

    async with running(tmp_path, sandbox, **moved(dice, sandbox)) as relay:
        for last in range(4, 64, 4):
            assert (await relay.post([alert(n) for n in range(last - 4, last)]))[0] == 202
            sandbox.state.faults = [
                Fault(status=503, count=dice.choice([1, 3])),
                Fault(latency=dice.choice([0.0, 0.1, 0.4]), count=4),
            ]
            for _ in range(dice.choice([1, 2, 3])):
                assert (await relay.reload(**moved(dice, sandbox)))[0] == 200
                changed = [alert(n, severity=dice.choice(["critical", "minor"])) for n in dice.sample(range(last), 3)]
                assert (await relay.post(changed))[0] == 202
        sandbox.state.faults = []
        assert (await relay.post([alert(n, status="resolved") for n in range(60)]))[0] == 202

        def told() -> list[str]:
            everything = [m for room in sandbox.state.rooms.values() for m in room.messages.values()]
            return [m.text.splitlines()[0] for m in everything if m.parent is None]

        await relay.until(lambda: sum("resolved" in line for line in told()) >= 60)
        assert Counter(re.findall(r"event \d+", "\n".join(told()))) == {f"event {n}": 1 for n in range(60)}


async def test_a_reload_says_where_routes_with_equal_matchers_changed(tmp_path: Path, sandbox: Sandbox) -> None:
    first = {"matchers": ['site="ams"'], "rooms": ["noc"], "continue": True}
    second = {**first, "template": "short"}
    templates = {"short": "{{ title }}"}
    async with running(
        tmp_path, sandbox, templates=templates, route={"rooms": ["noc"], "routes": [first, second]}
    ) as relay:
        status, said = await relay.reload(
            templates=templates, route={"rooms": ["noc"], "routes": [{"matchers": ["x=y"]}, first, second]}
        )
        assert (status, [one for one in said["problems"] if one["path"].startswith("route")]) == (200, [])
        status, said = await relay.reload(templates=templates, route={"rooms": ["noc"], "routes": [second, first]})
        (problem,) = [one for one in said["problems"] if one["path"].startswith("route")]
        assert (status, said["good"], problem["level"], problem["path"]) == (200, True, "warning", "route.routes[0]")
        assert "the same matchers as route.routes[1]" in problem["message"]
        assert problem["line"] == 1


async def test_a_route_without_rooms_is_counted_explained_and_shown(tmp_path: Path, sandbox: Sandbox) -> None:
    route = {"rooms": ["noc"], "routes": [{"matchers": ['title="watchdog"'], "rooms": []}]}
    async with running(tmp_path, sandbox, route=route) as relay:
        _, said = await relay.post({"title": "watchdog", "key": "w", "status": "firing"})
        await relay.post({"title": "other"})
        await relay.until_state("done")
        event = (await relay.get(f"/api/v1/events/{said['ids'][0]}"))[1]
        assert event["suppressed"] == "unrouted"
        assert 'relay_suppressed_total{reason="unrouted"} 1.0' in (await relay.get("/metrics"))[1]
        tree = (await relay.get("/api/v1/routes"))[1]
        assert tree["routes"][0]["rooms"] == []
        alerts = (await relay.get("/api/v2/alerts"))[1]
        assert [alert["labels"]["title"] for alert in alerts] == ["watchdog"]
        assert [message.text.splitlines()[0] for message in relay.messages()] == ["🔵 WARNING · other"]
