"""`when` on sources of every type: what nobody asked for is counted, and neither stored nor told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from relay.sandbox.server import Sandbox
from tests.fakes.running import TOKEN, Running, replies, running, settled, top
from tests.fakes.silences import within

NO_INFO = "severity != 'info'"


async def dropped(relay: Running, source: str) -> int:
    """Return how many events of a source were dropped, as the metrics and the API agree."""
    _, metrics = await relay.get("/metrics")
    (shown,) = [one["dropped"] for one in (await relay.get("/api/v1/status"))[1]["sources"] if one["source"] == source]
    assert f'relay_events_dropped_total{{source="{source}"}} {float(shown)}' in metrics
    return int(shown)


async def titles(relay: Running) -> list[str]:
    """Return the titles of all stored events, oldest first."""
    await settled(relay)
    return [one["title"] for one in reversed((await relay.get("/api/v1/events?limit=1000"))[1])]


async def test_a_webhook_is_told_how_many_events_were_dropped(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"lab": {"type": "webhook", "when": NO_INFO, "severity": "info"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        given: list[dict[str, Any]] = [{"title": "a", "severity": "major"}, {"title": "b"}, {"severity": "major"}]
        status, answer = await relay.post(given)
        assert (status, answer["accepted"], answer["dropped"], len(answer["refused"])) == (202, 1, 1, 1)
        assert await relay.post({"title": "c"}) == (202, {"accepted": 0, "duplicates": 0, "ids": [], "dropped": 1})
        status, answer = await relay.post([{"title": "d"}, {"no": "title"}])
        assert (status, answer["dropped"], [one["index"] for one in answer["refused"]]) == (202, 1, [1])
        assert "dropped" not in (await relay.post({"title": "e", "severity": "major"}))[1]
        assert await titles(relay) == ["a", "e"]
        assert await dropped(relay, "lab") == 3
        assert len(top(relay)) == 2


async def test_what_was_not_read_of_a_dropped_event_is_named(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"lab": {"type": "webhook", "when": "severity == 'major'"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        good = {"title": "a", "severity": "major"}
        given = [good, {"title": "b", "serverity": "major"}, {"no": 1}, good, {**good, "lables": {"a": "b"}}]
        _, answer = await relay.post(given)
        assert (answer["accepted"], answer["dropped"], len(answer["refused"])) == (3, 1, 1)
        assert sorted(part.partition(" ")[0] for part in answer["unread"]) == ["[1].serverity", "[4].lables"]


async def test_an_alert_ends_though_its_end_has_no_severity(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"lab": {"type": "webhook", "when": "contains(['critical', 'major'], severity)"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        for key, severity in (("bad", "critical"), ("dull", "minor")):
            await relay.post({"title": key, "status": "firing", "key": key, "severity": severity})
        await relay.until(lambda: top(relay))
        for key in ("bad", "dull"):
            await relay.post({"title": key, "status": "resolved", "key": key})
        await relay.until(lambda: any("resolved" in message.text for message in top(relay)))
        assert await dropped(relay, "lab") == 1
        await settled(relay)
        assert len(top(relay)) == len(replies(relay)) == 1
        assert not any("dull" in message.text for message in relay.messages())


async def test_readings_of_home_assistant_are_not_messages(tmp_path: Path, sandbox: Sandbox) -> None:
    def change(entity: str, was: str, now: str, **attributes: str) -> str:
        old, new = ({"state": state, "attributes": attributes} for state in (was, now))
        data = {"entity_id": entity, "old_state": old, "new_state": new}
        return json.dumps({"id": 1, "type": "event", "event": {"event_type": "state_changed", "data": data}})

    async def script(connection: ServerConnection) -> None:
        for number in range(600):
            await connection.send(change("sensor.rack_temperature", str(number), str(number + 1)))
        await connection.send(change("binary_sensor.cellar", "off", "on", device_class="moisture"))
        await connection.send(change("alert.gate", "idle", "on", friendly_name="Gate is open"))
        await connection.send(change("alert.gate", "on", "off", friendly_name="Gate is open"))
        await connection.send(change("alert.gate", "off", "idle", friendly_name="Gate is open"))
        await connection.wait_closed()

    async with serve(script, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        home = {"type": "websocket", "url": url, "format": "home-assistant", "when": NO_INFO}
        async with running(tmp_path, sandbox, sources={"home": home}) as relay:
            await relay.until(lambda: any("resolved" in message.text for message in top(relay)))
            assert await dropped(relay, "home") == 600
            assert not any("temperature" in title for title in await titles(relay))
            firsts = sorted(message.text.splitlines()[0] for message in top(relay))
            assert [line.partition(" · ")[2] for line in firsts] == [
                "Gate is open: no longer",
                "binary_sensor.cellar (moisture: on)",
            ]
            _, status = await relay.get("/api/v1/status")
            assert status["feeds"][0]["connected"] is True


async def test_a_producer_is_told_and_need_not_send_again(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"robots": {"type": "push", "auth": "none", "when": NO_INFO}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        address = relay.events.replace("http", "ws") + "/push/robots"
        async with relay.session.ws_connect(address) as socket:
            await socket.send_json([{"title": "a", "id": "r1"}, {"title": "b", "id": "r2", "severity": "info"}])
            assert await socket.receive_json(timeout=20) == {"ack": ["r1", "r2"], "dropped": 1}
            await socket.send_json({"title": "c", "severity": "info"})
            assert await socket.receive_json(timeout=20) == {"ack": [], "dropped": 1}
        assert await titles(relay) == ["a"]
        assert await dropped(relay, "robots") == 2


async def test_prometheus_is_answered_as_ever(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"prometheus": {"type": "alertmanager-api", "when": "labels.env == 'production'"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        alerts = [{"labels": {"alertname": env, "env": env}, "endsAt": within(300)} for env in ("production", "lab")]
        assert (await relay.post(alerts, "/api/v2/alerts"))[0] == 200
        assert await titles(relay) == ["production"]
        assert await dropped(relay, "prometheus") == 1
        assert len((await relay.get("/api/v2/alerts"))[1]) == 1


@pytest.mark.parametrize("found", ["at the start", "later"])
async def test_changes_of_a_fabric_are_dropped_and_known_all_the_same(
    found: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    def change() -> None:
        for severity in ("major", "minor"):
            about = {"code": "F1", "cause": severity, "severity": severity, "lc": "raised", "descr": "d", "ack": "no"}
            sandbox.fabric.put("faultInst", f"topology/pod-1/fault-{severity}", **about)

    fabric = {"type": "apic", "url": sandbox.address, "username": "relay", "password": TOKEN}
    wanted = {**fabric, "subscribe": [{"class": "faultInst"}], "when": "severity == 'major' && payload.faultInst"}
    if found == "at the start":
        change()
    async with running(tmp_path, sandbox, sources={"fabric": wanted}) as relay:
        await relay.until_shown("/api/v1/status", lambda status: status["feeds"][0]["connected"])
        if found == "later":
            change()
        await relay.until(lambda: top(relay))
        assert len(await titles(relay)) == 1
        assert await dropped(relay, "fabric") == 1
    async with running(tmp_path, sandbox, sources={"fabric": wanted}) as relay:
        await relay.until_shown("/api/v1/status", lambda status: status["feeds"][0]["connected"])
        assert len(await titles(relay)) == 1
        assert await dropped(relay, "fabric") == 0


async def test_explain_over_http_and_a_reload_follow_the_expression(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"lab": {"type": "webhook", "when": NO_INFO}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        body = {"title": "a", "severity": "info"}
        asked = {"source": "lab", "payload": body}
        async with relay.session.post(f"{relay.admin}/api/v1/explain", json=asked) as answer:
            (one,) = await answer.json()
        assert (one["suppressed"], one["dropped"]) == ("dropped", "`when: severity != 'info'` gives nothing")
        status, refused = await relay.reload(sources={"lab": {"type": "webhook", "when": 'severity != "info"'}})
        assert (status, "sources.lab.when" in json.dumps(refused)) == (422, True)
        assert (await relay.post(body))[1]["dropped"] == 1
        assert (await relay.reload(sources={"lab": {"type": "webhook"}}))[0] == 200
        assert (await relay.post(body))[1]["accepted"] == 1
        assert await dropped(relay, "lab") == 1
