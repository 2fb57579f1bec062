"""Feeds whose peer accepts a connection and then drops it, or refuses us behind the handshake."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from websockets.asyncio.server import ServerConnection, serve

from relay.app.assembly.arrangement import Vault
from relay.app.assembly.sources import make_controllers, make_feed, make_renewal
from relay.listeners.staying import REFUSED_DELAY, REPORT_AFTER, STABLE_AFTER, Staying
from relay.listeners.websocket import WebsocketListener
from relay.logs import make_log
from relay.pipeline.arrivals import Arrivals
from relay.pipeline.intake import Intake
from relay.sandbox.server import Sandbox
from relay.settings.sources import ApicSettings, WebsocketSettings
from relay.storage.sqlite.store import SqliteStore
from relay.web.metrics import Metrics
from tests.fakes.running import TOKEN, Running, running

Script = Callable[[ServerConnection, int], Awaitable[None]]
START = 1_800_000_000.0
SOURCE: dict[str, Any] = {"type": "websocket", "severity": "warning"}


class SkippingClock:
    """Implements the `Clock` port: rests are over at once; a connection holds for as long as its peer keeps it."""

    def __init__(self) -> None:
        self.time = START
        self.holds = False
        """Have a connection hold for as long as it must, at once."""

    def now(self) -> float:
        return self.time

    wall = now

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        if seconds is None or (seconds == STABLE_AFTER and not self.holds):
            await event.wait()
            return
        self.time += seconds
        await asyncio.tasks.sleep(0)


class Fed:
    """A feed without the rest of the relay, over a real websocket and a real store."""

    def __init__(self, folder: Path, url: str, source: dict[str, Any]) -> None:
        self.clock = SkippingClock()
        self.told: list[tuple[str, str, float]] = []
        self.changed = asyncio.Event()
        self.log = folder / "feed.log"
        settings = TypeAdapter(WebsocketSettings).validate_python(
            {**SOURCE, "url": url, **source}, context={"folder": folder}
        )
        vault = Vault()
        self.stream = self.log.open("a", encoding="utf-8")
        log = make_log("debug", self.stream)
        self.staying = Staying(
            "feed",
            self.clock,
            log,
            self._note,
            lambda _: None,
            vault.redactor,
            renew=make_renewal(settings, vault),
        )
        self.store = SqliteStore(folder / "relay.db", None)
        numbers = itertools.count()
        intake = Intake(
            self.store,
            self.clock,
            lambda _: f"e{next(numbers)}",
            Metrics(["feed"], {}, 0),
            log,
            Arrivals(self.store, self.clock),
            lambda: True,
            vault.redactor.redact,
        )
        self.listener = WebsocketListener(make_feed("feed", settings, vault), self.staying, intake, self.clock)

    def _note(self) -> None:
        down, state = self.staying.is_down, self.staying.state
        assert bool(state.last_error) or not down
        why = "back" if not down else "refused" if state.refused else "down"
        self.told.append(("firing" if down else "resolved", why, self.clock.time - START))
        self.changed.set()

    async def until_told(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.told) < count:
                self.changed.clear()
                await self.changed.wait()

    @property
    def statuses(self) -> list[str]:
        return [status for status, _, _ in self.told]


@asynccontextmanager
async def fed(folder: Path, script: Script, **source: Any) -> AsyncIterator[Fed]:
    """A feed that runs; `script` is given each connection with its number, from 1."""
    numbers = itertools.count(1)

    async def handle(connection: ServerConnection) -> None:
        await script(connection, next(numbers))

    async with serve(handle, "127.0.0.1", 0) as server:
        made = Fed(folder, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", source)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(made.listener.run())
            try:
                yield made
            finally:
                made.listener.stop()
    await made.store.close()
    made.stream.close()


DROPS = 42


@pytest.mark.parametrize("code", [1000, 1011, 1012, 4406])
async def test_a_server_that_accepts_and_drops_is_told_once_and_its_return_once(tmp_path: Path, code: int) -> None:
    seen: list[bool] = []
    began: list[float] = []

    async def script(connection: ServerConnection, number: int) -> None:
        began.append(made.clock.time)
        if number > DROPS:
            await connection.send('{"title": "it works"}')
            await connection.wait_closed()
            return
        await connection.close(code, "dropped")
        seen.append(made.staying.state.connected)

    async with fed(tmp_path, script) as made:
        await made.until_told(2)
        assert made.staying.state.connected
        assert made.staying.state.tries == 0
    assert made.statuses == ["firing", "resolved"]
    (_, title, at), (_, back, _) = made.told
    assert (title, back) == ("down", "back")
    assert REPORT_AFTER <= at <= REPORT_AFTER + 120.0
    assert not any(seen[1:])
    rests = [after - before for before, after in itertools.pairwise(began)]
    assert sum(rests[-20:]) > 20 * 15.0, "delays grow, though each handshake is taken"


async def test_a_feed_that_was_down_is_back_when_it_has_held_though_nothing_comes(tmp_path: Path) -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        if number <= DROPS:
            await connection.close(1011)
            return
        made.clock.holds = True
        await connection.wait_closed()

    async with fed(tmp_path, script) as made:
        await made.until_told(2)
    assert made.statuses == ["firing", "resolved"]


async def test_a_feed_that_is_dropped_after_each_event_is_told_in_the_end(tmp_path: Path) -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await connection.send(f'{{"title": "event {number}"}}')
        await connection.close(1011)

    async with fed(tmp_path, script) as made:
        await made.until_told(1)
    assert made.statuses == ["firing"]


@pytest.mark.parametrize("frame", ["no json", '{"no": "title"}', '{"type": "error", "message": "nothing for you"}'])
async def test_a_frame_that_can_not_be_read_does_not_make_a_feed_connected(tmp_path: Path, frame: str) -> None:
    async def script(connection: ServerConnection, _: int) -> None:
        await connection.send(frame)
        await connection.close(1000)

    async with fed(tmp_path, script) as made:
        await made.until_told(1)
    assert made.statuses == ["firing"]


@pytest.mark.parametrize(
    ("code", "reason"), [(4401, ""), (4403, "Forbidden"), (3000, ""), (3003, ""), (1008, "invalid token")]
)
async def test_a_refusal_by_its_close_code_is_told_at_once_and_tried_slowly(
    tmp_path: Path, code: int, reason: str
) -> None:
    began: list[float] = []

    async def script(connection: ServerConnection, number: int) -> None:
        began.append(made.clock.time)
        if number > 5:
            await connection.send('{"title": "it works"}')
            await connection.wait_closed()
            return
        await connection.close(code, reason)

    async with fed(tmp_path, script) as made:
        await made.until_told(2)
    assert [title for _, title, _ in made.told] == ["refused", "back"]
    assert made.told[0][2] == 0.0
    assert all(after - before >= REFUSED_DELAY for before, after in itertools.pairwise(began))


@pytest.mark.parametrize("told_down", [True, False])
async def test_a_restart_neither_repeats_nor_loses_that_a_feed_is_down(tmp_path: Path, told_down: bool) -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        if number == 1:
            made.staying.is_down = told_down
        if number <= DROPS:
            await connection.close(4403)
            return
        await connection.send('{"title": "it works"}')
        await connection.wait_closed()

    async with fed(tmp_path, script) as made:
        await made.until_told(1 if told_down else 2)
    assert made.statuses == (["resolved"] if told_down else ["firing", "resolved"])


async def test_secrets_from_files_are_read_again_for_each_connection(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("header", "token", "nested")}
    for file in files.values():
        file.write_text("old\n", encoding="utf-8")
    given: list[tuple[str, Any, Any]] = []
    done = asyncio.Event()

    async def script(connection: ServerConnection, number: int) -> None:
        assert connection.request is not None
        first, second = json.loads(await connection.recv()), json.loads(await connection.recv())
        given.append((connection.request.headers["X-Key"], first["token"], second[0]["deep"]))
        for file in files.values():
            file.write_text(f"new {number}\n", encoding="utf-8")
        if number == 3:
            done.set()
            await connection.wait_closed()
        await connection.close(1012)

    send = [{"token": {"file": str(files["token"])}}, [{"deep": {"file": str(files["nested"])}}]]
    async with fed(tmp_path, script, send=send, headers={"X-Key": {"file": str(files["header"])}}):
        async with asyncio.timeout(30):
            await done.wait()
    assert given == [("old", "old", "old"), ("new 1", "new 1", "new 1"), ("new 2", "new 2", "new 2")]


async def test_a_file_that_is_gone_for_a_moment_leaves_the_secret_as_it_was(tmp_path: Path) -> None:
    file, given = tmp_path / "token", []
    file.write_text("kept", encoding="utf-8")
    done = asyncio.Event()

    async def script(connection: ServerConnection, number: int) -> None:
        given.append(await connection.recv())
        file.unlink(missing_ok=True)
        if number == 2:
            done.set()
        await connection.close(1012)

    async with fed(tmp_path, script, send=[[{"file": str(file)}]]):
        async with asyncio.timeout(30):
            await done.wait()
    assert given[:2] == ['["kept"]', '["kept"]']


async def test_a_password_and_headers_of_a_fabric_follow_their_files(tmp_path: Path) -> None:
    password, header = tmp_path / "password", tmp_path / "header"
    for file in (password, header):
        file.write_text("old", encoding="utf-8")
    settings = TypeAdapter(ApicSettings).validate_python(
        {
            "type": "apic",
            "url": "https://apic1",
            "username": "u",
            "subscribe": [{"class": "faultInst"}],
            "password": {"file": str(password)},
            "headers": {"X-Key": {"file": str(header)}},
        }
    )
    vault = Vault()
    renew = make_renewal(settings, vault)
    (client,) = make_controllers(settings, vault)
    assert renew is not None
    assert (renew(), client.password.current(), client.headers()) == (False, "old", {"X-Key": "old"})
    for file in (password, header):
        file.write_text("new", encoding="utf-8")
    assert (renew(), client.password.current(), client.headers()) == (True, "new", {"X-Key": "new"})
    assert not renew()


# The whole relay


def messages_of(relay: Running) -> list[str]:
    return [message.text for message in relay.messages()]


async def test_a_token_that_home_assistant_refuses_is_one_incident_and_a_new_one_is_tried_soon(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    token, tries = tmp_path / "token", 0
    token.write_text("wrong", encoding="utf-8")
    change = {
        "id": 1,
        "type": "event",
        "event": {
            "event_type": "state_changed",
            "time_fired": "2027-01-15T08:00:00+00:00",
            "data": {
                "entity_id": "binary_sensor.kitchen",
                "old_state": {"state": "off"},
                "new_state": {"state": "on", "attributes": {"device_class": "smoke", "friendly_name": "Kitchen"}},
            },
        },
    }

    async def script(connection: ServerConnection) -> None:
        nonlocal tries
        tries += 1
        await connection.send('{"type": "auth_required", "ha_version": "2024.3.0"}')
        if json.loads(await connection.recv())["access_token"] != "right":
            await connection.send('{"type": "auth_invalid", "message": "Invalid access token or password"}')
            return
        await connection.send('{"type": "auth_ok", "ha_version": "2024.3.0"}')
        assert json.loads(await connection.recv())["type"] == "subscribe_events"
        await connection.send('{"id": 1, "type": "result", "success": true, "result": null}')
        await connection.send(json.dumps(change))
        await connection.wait_closed()

    async with serve(script, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        send = [{"type": "auth", "access_token": {"file": str(token)}}, {"id": 1, "type": "subscribe_events"}]
        sources = {"home": {"type": "websocket", "url": url, "format": "home-assistant", "send": send}}
        async with running(tmp_path, sandbox, sources=sources, operator={"room": "noc"}) as relay:
            await relay.until(lambda: len(relay.messages()) == 1)
            assert "relay: Feed home is refused" in messages_of(relay)[0]
            assert "Home Assistant refuses the token: Invalid access token" in messages_of(relay)[0]
            assert 'relay_feed_connected{source="home"} 0.0' in (await relay.get("/metrics"))[1]
            assert (await relay.get("/api/v1/status"))[1]["feeds"][0]["connected"] is False
            assert tries == 1
            token.write_text("right", encoding="utf-8")
            await relay.until(lambda: len(relay.messages()) == 2 and "✅ resolved" in messages_of(relay)[0])
            assert "Kitchen (smoke: on)" in messages_of(relay)[1]
            assert tries == 2
            assert 'relay_feed_connected{source="home"} 1.0' in (await relay.get("/metrics"))[1]


async def test_a_corrected_password_of_a_fabric_is_tried_soon(tmp_path: Path, sandbox: Sandbox) -> None:
    password = tmp_path / "password"
    password.write_text("wrong", encoding="utf-8")
    sources = {
        "fabric": {
            "type": "apic",
            "url": sandbox.address,
            "username": "relay",
            "password": {"file": str(password)},
            "subscribe": [{"class": "faultInst"}],
        }
    }
    async with running(tmp_path, sandbox, sources=sources, operator={"room": "noc"}) as relay:
        await relay.until(lambda: any("Feed fabric is refused" in text for text in messages_of(relay)))
        password.write_text(TOKEN, encoding="utf-8")
        await relay.until_logged("feed_opened")
        fault = "topology/pod-1/node-101/sys/phys-[eth1/1]/phys/fault-F0532"
        sandbox.fabric.put("faultInst", fault, code="F0532", cause="port-down", severity="major", lc="raised")
        await relay.until(lambda: any("✅ resolved" in text for text in messages_of(relay)))
        assert len([text for text in messages_of(relay) if "relay: Feed fabric" in text]) == 1
