"""Alertmanager's API v2 on the admin address, and the source that takes what Prometheus posts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import yaml
from aiohttp.test_utils import make_mocked_request

from relay.core.alert import Alert, AlertKey, fold
from relay.core.routing import Route
from relay.core.rules import Rules
from relay.core.suppression import Suppressor
from relay.sandbox.server import Sandbox
from relay.web.alertmanager import SLICE, AlertmanagerApi
from relay.web.silences import SilenceBook
from tests.fakes.made import event
from tests.fakes.running import Running, running, top
from tests.fakes.silences import within
from tests.fakes.simulated import ManualClock

SOURCES = {"prometheus": {"type": "alertmanager-api"}, "lab": {"type": "webhook"}}
GROUPED = {"rooms": ["noc"], "group_by": ["site"], "group_wait": "0s", "group_interval": "0s"}
ROUTE = {"rooms": ["noc"], "routes": [{"matchers": ['severity="critical"'], **GROUPED}]}


def alert(name: str, **changes: Any) -> dict[str, Any]:
    labels = {"alertname": name, "severity": "critical", "site": "a", **changes.pop("labels", {})}
    return {"labels": labels, "annotations": {"summary": f"{name} is bad"}, "endsAt": within(300), **changes}


async def send(relay: Running, *alerts: Any) -> int:
    return (await relay.post(list(alerts), path="/api/v2/alerts"))[0]


async def test_prometheus_posts_alerts_that_fire_and_end(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources=SOURCES, route=ROUTE) as relay:
        assert await send(relay, alert("Down"), alert("Slow")) == 200
        await relay.until(lambda: any("2 firing" in message.text for message in relay.messages()))
        assert await send(relay, alert("Down"), alert("Slow", endsAt=within(-1))) == 200
        await relay.until(lambda: any("1 firing, 1 ended" in message.text for message in relay.messages()))
        status, refused = await relay.post({"no": "list"}, path="/api/v2/alerts")
        assert (status, refused["error"]["code"]) == (422, "unreadable")


async def test_an_alert_that_prometheus_forgets_expires_at_its_end(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources=SOURCES) as relay:
        await send(relay, alert("Down", endsAt=within(1.5)))
        await relay.until(lambda: any(message.text.startswith("⌛ expired · Down is bad") for message in top(relay)))


async def test_silences_come_and_go_as_amtool_asks(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources=SOURCES, route=ROUTE) as relay:
        await send(relay, alert("Down"), alert("Slow"))
        await relay.until(lambda: any("2 firing" in message.text for message in relay.messages()))
        wanted: dict[str, Any] = {
            "matchers": [{"name": "alertname", "value": "D.*", "isRegex": True, "isEqual": True}],
            "startsAt": within(0),
            "endsAt": within(3_600),
            "createdBy": "anna",
            "comment": "c",
        }
        made = await ask(relay, "POST", "/api/v2/silences", wanted)
        (one,) = (await relay.get("/api/v2/silences"))[1]
        assert (one["id"], one["status"]["state"]) == (made["silenceID"], "active")
        assert one["matchers"] == [{"name": "alertname", "value": "D.*", "isRegex": True, "isEqual": True}]
        shown = (await relay.get("/api/v2/alerts"))[1]
        states = {one["labels"]["alertname"]: one["status"] for one in shown}
        assert states["Down"] == {"state": "suppressed", "silencedBy": [one["id"]], "inhibitedBy": [], "mutedBy": []}
        assert states["Slow"]["state"] == "active"
        again = await ask(
            relay,
            "POST",
            "/api/v2/silences",
            {**wanted, "id": one["id"], "startsAt": one["startsAt"], "endsAt": within(7_200)},
        )
        assert again["silenceID"] == one["id"]
        assert [a["labels"]["alertname"] for a in (await relay.get("/api/v2/alerts?silenced=false"))[1]] == ["Slow"]
        for query, count in (('alertname="Slow"', 1), ('alertname=~"D.*|S.*"', 2), ("site!=a", 0)):
            assert len((await relay.get("/api/v2/alerts", params={"filter": query}))[1]) == count
        assert (await relay.get("/api/v2/alerts", params={"filter": "a=~("}))[0] == 400
        assert len((await relay.get("/api/v2/silences", params={"filter": 'alertname="D.*"'}))[1]) == 1
        assert await ask(relay, "DELETE", f"/api/v2/silence/{one['id']}") is None
        assert (await relay.get(f"/api/v2/silence/{one['id']}"))[1]["status"]["state"] == "expired"
        assert "must not match" in await ask(
            relay, "POST", "/api/v2/silences", {**wanted, "matchers": [{**wanted["matchers"][0], "value": ".*"}]}, 400
        )
        await ask(relay, "DELETE", "/api/v2/silence/nope", status=404)


async def test_status_receivers_and_groups_are_told_as_alertmanagers_are(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources=SOURCES, route=ROUTE) as relay:
        await send(relay, alert("Down"))
        _, status = await relay.get("/api/v2/status")
        assert yaml.safe_load(status["config"]["original"])["route"]["routes"][0]["group_by"] == ["site"]
        assert (await relay.get("/api/v2/receivers"))[1] == [{"name": "noc"}]
        await relay.until(lambda: len(relay.messages()) == 1)
        (group,) = (await relay.get("/api/v2/alerts/groups"))[1]
        assert (group["receiver"], len(group["alerts"])) == ({"name": "noc"}, 1)


async def ask(relay: Running, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    async with relay.session.request(method, relay.admin + path, json=body) as answer:
        text = await answer.text()
        assert answer.status == status, text
        return await answer.json() if text else None


async def test_whoever_asks_for_many_alerts_holds_nobody_up(relay: Running) -> None:
    many = [alert for number in range(20 * SLICE) if (alert := fold(event(key=f"k{number}"), None, 0.0)) is not None]

    class Everything:
        async def open_alerts(self) -> list[Alert]:
            return many

        async def keys_in_downtime(self) -> list[AlertKey]:
            return []

    daemon, loop, turns = relay.daemon, asyncio.get_running_loop(), 0
    desk = SilenceBook(daemon.pipeline.planner.vigil, lambda: "s1", ManualClock())
    rules = Rules(Route(path="route", rooms=("noc",)), {"noc": None})
    api = AlertmanagerApi(desk, Everything(), Suppressor(), lambda: rules, 0.0, lambda: "0.25.0")
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(api.get_alerts(make_mocked_request("GET", "/api/v2/alerts")))

        def turn() -> None:
            nonlocal turns
            turns += 1
            if not asked.done():
                loop.call_soon(turn)

        turn()
    answer = asked.result().body
    assert isinstance(answer, bytes)
    assert len(json.loads(answer)) == 20 * SLICE
    assert turns >= 20
