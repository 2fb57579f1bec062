"""Batches of every protocol: one bad item never costs the others, and the sender is told which one it was."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from typer.testing import CliRunner, Result
from websockets.asyncio.server import ServerConnection, serve

from relay.cli import app
from relay.core.event import Draft
from relay.formats import FORMATS, Format, Request, checked
from relay.formats.contract import MOST_EVENTS
from relay.pipeline.intake import MOST_REFUSED
from relay.sandbox.server import Sandbox
from tests.fakes.running import Running, configuration, running

BAD = {"nobody": "knows this"}


class Batch(msgspec.Struct, frozen=True):
    """A protocol: its source, one item of a name, and the body of several items."""

    source: dict[str, Any]
    item: Callable[[str], Any]
    body: Callable[[list[Any]], bytes] = lambda items: json.dumps(items).encode()
    kind: str = "application/json"
    path: str = "/hooks/lab"
    bad: Any = None
    where: str = ""

    def with_bad(self) -> list[Any]:
        """Two good items around a bad one."""
        return [self.item("a"), BAD if self.bad is None else self.bad, self.item("b")]


def webhook(format_: str) -> dict[str, Any]:
    return {"type": "webhook", "format": format_}


def within(name: str, **around: Any) -> Callable[[list[Any]], bytes]:
    return lambda items: json.dumps({**around, name: items}).encode()


def lines(items: list[Any]) -> bytes:
    """A document a line; a text is a line that is no JSON."""
    return "\r\n".join(item if isinstance(item, str) else json.dumps(item) for item in items).encode()


def labelled(name: str) -> dict[str, Any]:
    return {"status": "firing", "labels": {"alertname": name, "severity": "major"}, "fingerprint": name}


def cloud_event(name: str) -> dict[str, Any]:
    return {"specversion": "1.0", "type": "lock.stuck", "source": "/locks", "id": name, "data": {"what": name}}


def incident(name: str) -> dict[str, Any]:
    return {"incident": {"incident_id": name, "policy_name": "locks", "condition_name": name, "state": "open"}}


MAP = {"title": "what", "key": "what"}
BATCHES = {
    "native": Batch(webhook("relay"), lambda name: {"title": name}),
    "native, no object": Batch(webhook("relay"), lambda name: {"title": name}, bad=7),
    "alertmanager": Batch(webhook("alertmanager"), labelled, within("alerts", version="4"), where="alerts"),
    "alertmanager, status of no kind": Batch(
        webhook("alertmanager"), labelled, within("alerts"), bad={"status": {"x": 1}}, where="alerts"
    ),
    "grafana": Batch(webhook("grafana"), labelled, within("alerts", orgId=1), where="alerts"),
    "grafana, no object": Batch(webhook("grafana"), labelled, within("alerts"), bad="x", where="alerts"),
    "pagerduty": Batch(
        webhook("pagerduty"),
        lambda name: {"event": "incident.trigger", "incident": {"id": name, "title": name}},
        within("messages"),
        where="messages",
    ),
    "map": Batch({"type": "webhook", "map": MAP}, lambda name: {"what": name}),
    "map with each": Batch(
        {"type": "webhook", "map": {**MAP, "each": "rows"}}, lambda name: {"what": name}, within("rows"), where="rows"
    ),
    "map with each over a list": Batch(
        {"type": "webhook", "map": {**MAP, "each": "@"}}, lambda name: {"what": name}, where="@"
    ),
    "CloudEvents": Batch(
        {"type": "webhook", "map": {"title": "data.what", "key": "id"}},
        cloud_event,
        kind="application/cloudevents-batch+json; charset=utf-8",
        bad={**cloud_event("x"), "data": None},
    ),
    "datadog": Batch(webhook("datadog"), lambda name: {"title": name, "alert_transition": "Triggered"}),
    "kibana": Batch(webhook("kibana"), lambda name: {"kibana.alert.rule.name": name, "kibana.alert.uuid": name}),
    "azure": Batch(
        webhook("azure-monitor"),
        lambda name: {"data": {"essentials": {"alertId": name, "alertRule": name, "monitorCondition": "Fired"}}},
    ),
    "pubsub": Batch(
        webhook("google-cloud"),
        lambda name: {"message": {"data": base64.b64encode(json.dumps(incident(name)).encode()).decode()}},
    ),
    "sns": Batch(webhook("aws-sns"), lambda name: {"Type": "Notification", "TopicArn": "a:b:c", "Message": name}),
    "apic": Batch(
        webhook("apic"),
        lambda name: {"fvTenant": {"attributes": {"dn": f"uni/tn-{name}", "status": "created", "name": name}}},
        within("imdata"),
        bad={"fvTenant": 5},
        where="imdata",
    ),
    "icinga2, a document a line": Batch(
        webhook("icinga2"),
        lambda name: {"type": "StateChange", "host": name, "state": 1, "state_type": 1},
        lines,
        "application/x-ndjson",
    ),
    "zabbix, documents one behind the other": Batch(
        webhook("zabbix"),
        lambda name: {"event_name": name, "event_id": name, "event_value": "1"},
        lambda items: b" ".join(json.dumps(item).encode() for item in items),
    ),
    "zabbix, a line that is no JSON": Batch(
        webhook("zabbix"),
        lambda name: {"event_name": name, "event_id": name, "event_value": "1"},
        lines,
        bad='{"event_na',
    ),
    "jsonl, a line of another kind": Batch(
        {"type": "webhook", "map": MAP},
        lambda name: {"what": name},
        lines,
        "application/jsonl",
        bad="-- mark --",
    ),
    "home-assistant": Batch(
        webhook("home-assistant"),
        lambda name: {"type": "event", "event": {"event_type": "x", "data": {"title": name}}},
    ),
}


async def send(relay: Running, batch: Batch, items: list[Any], **headers: str) -> tuple[int, Any]:
    headers = {"Content-Type": batch.kind, **headers}
    async with relay.session.post(relay.events + batch.path, data=batch.body(items), headers=headers) as answer:
        return answer.status, await answer.json()


async def titles(relay: Running) -> list[str]:
    _, events = await relay.get("/api/v1/events")
    return [event["title"] for event in reversed(events)]


async def refusals(relay: Running) -> list[dict[str, Any]]:
    _, kept = await relay.get("/api/v1/events?refused=true")
    return list(reversed(kept))


async def counted(relay: Running, source: str = "lab") -> int:
    _, metrics = await relay.get("/metrics")
    line = f'relay_events_refused_total{{reason="malformed",source="{source}"}} '
    return int(float(metrics.partition(line)[2].partition("\n")[0]))


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
async def test_of_a_batch_the_good_are_taken_and_the_bad_named_and_kept(
    tmp_path: Path, sandbox: Sandbox, batch: Batch
) -> None:
    async with running(tmp_path, sandbox, sources={"lab": batch.source}) as relay:
        status, answer = await send(relay, batch, batch.with_bad())
        assert (status, answer["accepted"], len(answer["ids"])) == (202, 2, 2)
        (refused,) = answer["refused"]
        assert refused["index"] == 1
        assert refused["error"].startswith(f"{batch.where}[1]")
        assert len(await titles(relay)) == 2
        (kept,) = await refusals(relay)
        assert (kept["source"], kept["reason"], kept["detail"]) == ("lab", "malformed", refused["error"])
        bad = batch.with_bad()[1]
        assert kept["payload"] == bad if isinstance(bad, str) else json.loads(kept["payload"]) == bad
        assert await counted(relay) == 1
        assert relay.log.read_text(encoding="utf-8").count('"event": "event_refused"') == 1


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
async def test_a_batch_without_a_bad_item_is_taken_as_before(tmp_path: Path, sandbox: Sandbox, batch: Batch) -> None:
    async with running(tmp_path, sandbox, sources={"lab": batch.source}) as relay:
        status, answer = await send(relay, batch, [batch.item("a"), batch.item("b")])
        assert (status, answer) == (202, {"accepted": 2, "duplicates": 0, "ids": answer["ids"]})
        assert await refusals(relay) == []


async def test_a_bug_in_a_format_costs_its_item_alone(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(request: Request) -> list[Draft]:
        word = request.payload["word"]
        if word == "raises":
            raise LookupError("a bug")
        if word == "types":
            return [Draft(title="x", labels={"a": 5})]  # type: ignore[dict-item]  # what another package may do
        return cast(list[Draft], ["x"]) if word == "no draft" else [Draft(title=word)]

    monkeypatch.setitem(FORMATS._made, "jira", checked(Format(read=read)))  # type: ignore[attr-defined]
    async with running(tmp_path, sandbox, sources={"lab": webhook("jira")}) as relay:
        words = ["a", "raises", "b", "types", "no draft", "c"]
        status, answer = await relay.post([{"word": word} for word in words])
        assert (status, answer["accepted"]) == (202, 3)
        assert [one["index"] for one in answer["refused"]] == [1, 3, 4]
        assert all("a bug in the format" in one["error"] for one in answer["refused"])
        assert await titles(relay) == ["a", "b", "c"]


async def test_the_api_of_alertmanager_takes_the_good_and_answers_400_with_the_errors(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    sources = {"prometheus": {"type": "alertmanager-api"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        good = [{"labels": {"alertname": name, "severity": "critical"}} for name in ("One", "Two")]
        bad = [{"labels": {}}, {"labels": {"job": ""}}, {}, 5]
        status, answer = await relay.post([good[0], *bad, good[1]], "/api/v2/alerts")
        assert status == 400
        assert isinstance(answer, str)
        assert [error.partition(":")[0] for error in answer.split("; ")] == [
            "[1].labels",
            "[2].labels",
            "[3].labels",
            "[4]",
        ]
        assert await titles(relay) == ["One", "Two"]
        await relay.until(lambda: len(relay.messages()) == 2)
        assert [json.loads(one["payload"]) for one in await refusals(relay)] == bad
        assert await counted(relay, "prometheus") == 4
        status, answer = await relay.post([{"labels": {}}], "/api/v2/alerts")
        assert (status, answer.startswith("[0].labels: ")) == (400, True)
        assert (await relay.post([good[0]], "/api/v2/alerts"))[0] == 200


async def test_a_batch_of_which_nothing_can_be_read_is_422_with_each_item(relay: Running) -> None:
    status, answer = await relay.post([{"titel": "x"}, 5])
    assert (status, answer["error"]["code"]) == (422, "unreadable")
    assert [one["index"] for one in answer["refused"]] == [0, 1]
    assert answer["error"]["message"].startswith("none of the 2 items can be read; [0].title: ")
    assert [one["payload"] for one in await refusals(relay)] == ['{"titel": "x"}', "5"]
    assert await counted(relay) == 2


@pytest.mark.parametrize("name", ["datadog", "alertmanager", "pagerduty", "azure", "icinga2, a document a line"])
async def test_a_vendors_batch_of_which_nothing_is_known_is_one_notice(
    tmp_path: Path, sandbox: Sandbox, name: str
) -> None:
    batch = BATCHES[name]
    async with running(tmp_path, sandbox, sources={"lab": batch.source}) as relay:
        status, answer = await send(relay, batch, [BAD, BAD])
        assert (status, answer["accepted"], "refused" in answer) == (202, 1, False)
        assert await titles(relay) == ["unrecognised payload from lab"]


async def test_a_repeated_batch_gives_the_original_ids_and_keeps_no_refusal_twice(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    batch = [{"title": "a"}, {"titel": "b"}]
    key: dict[str, Any] = {"headers": {"Idempotency-Key": "k1"}}
    async with running(tmp_path, sandbox) as relay:
        _, first = await relay.post(batch, **key)
        status, again = await relay.post(batch, **key)
        assert (status, again) == (202, {**first, "accepted": 0, "duplicates": 1})
        assert await counted(relay) == 1
    async with running(tmp_path, sandbox) as relay:
        status, again = await relay.post(batch, **key)
        assert (status, again["ids"], again["refused"]) == (202, first["ids"], first["refused"])
        assert (await counted(relay), len(await refusals(relay))) == (0, 1)
        assert (await relay.post([{"title": "c"}], **key))[0] == 409


async def test_a_batch_refused_in_whole_may_come_again_mended_under_its_key(relay: Running) -> None:
    key: dict[str, Any] = {"headers": {"Idempotency-Key": "k1"}}
    assert (await relay.post([{"titel": "a"}], **key))[0] == 422
    assert (await relay.post([{"title": "a"}], **key))[0] == 202


async def test_very_many_bad_items_are_counted_and_bounded_in_answer_store_and_log(relay: Running) -> None:
    status, answer = await relay.post([{"title": "good"}, *([{}] * 250)])
    assert (status, answer["accepted"]) == (202, 1)
    assert (len(answer["refused"]), answer["more_refused"]) == (100, 150)
    _, newest_first = await relay.get("/api/v1/events?refused=true&limit=1000")
    kept = newest_first[::-1]
    assert len(kept) == MOST_REFUSED + 1
    assert kept[-1]["detail"] == "150 more items of this payload could not be read"
    assert await counted(relay) == 250
    assert relay.log.read_text(encoding="utf-8").count('"event": "event_refused"') == 1


async def test_what_is_behind_the_bound_of_items_is_refused_and_said(relay: Running) -> None:
    status, answer = await relay.post([{"title": "x", "key": "one", "status": "firing"}] * (MOST_EVENTS + 5))
    assert (status, answer["accepted"]) == (202, MOST_EVENTS)
    (refused,) = answer["refused"]
    assert refused["index"] == MOST_EVENTS
    assert f"at most {MOST_EVENTS} items of one payload are read" in refused["error"]


async def invoke(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


async def test_explain_and_routing_tests_take_the_good_of_a_batch_as_the_daemon_does(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    config, payload, cases = tmp_path / "relay.yaml", tmp_path / "batch.json", tmp_path / "cases.yaml"
    config.write_text(json.dumps(configuration(sandbox, tmp_path)), encoding="utf-8")
    payload.write_text(json.dumps([{"title": "good"}, BAD]), encoding="utf-8")
    told = await invoke("explain", "-c", str(config), str(payload), "-o", "json")
    assert [one["event"]["title"] for one in json.loads(told.stdout)] == ["good"]
    assert "source lab would refuse one item: [1].title: expected a text that is not empty" in told.stderr
    expect = [{"at": "0s", "room": "noc", "action": "post", "contains": "good"}]
    case = {"name": "n", "events": [{"source": "lab", "payload": "batch.json"}], "expect": expect, "exact": True}
    cases.write_text(json.dumps({"config": "relay.yaml", "tests": [case]}), encoding="utf-8")
    assert (await invoke("test", str(cases))).exit_code == 0
    payload.write_text(json.dumps([BAD, BAD]), encoding="utf-8")
    assert (await invoke("explain", "-c", str(config), str(payload))).exit_code == 1


# Frames

PUSH = {"lab": {"type": "push"}}


async def test_a_pushed_frame_is_answered_with_what_was_taken_and_what_was_refused(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    address = "/push/lab"
    async with running(tmp_path, sandbox, sources=PUSH) as relay:
        async with relay.session.ws_connect(relay.events.replace("http", "ws") + address) as socket:
            frame = [{"title": "a", "id": "r1"}, {"titel": "b", "id": "r2"}, 5, {"title": "c", "id": "r3"}]
            for _ in range(2):
                await socket.send_json(frame)
                answer = await socket.receive_json(timeout=20)
                assert answer["ack"] == ["r1", "r3"]
                assert [one["index"] for one in answer["refused"]] == [1, 2]
            await socket.send_json([{"title": "without an id"}, {}])
            answer = await socket.receive_json(timeout=20)
            assert (len(answer["ack"]), [one["index"] for one in answer["refused"]]) == (1, [1])
            await socket.send_json([{}, {}])
            answer = await socket.receive_json(timeout=20)
            assert (answer["error"]["code"], "ack" in answer, len(answer["refused"])) == ("unreadable", False, 2)
            await socket.send_json([frame[0], {"title": "b", "id": "r2"}, frame[3]])
            assert await socket.receive_json(timeout=20) == {"ack": ["r1", "r2", "r3"]}
        assert await titles(relay) == ["a", "c", "without an id", "a", "b", "c"]
        assert len(await refusals(relay)) == await counted(relay) == 5


@pytest.mark.parametrize("name", ["native", "home-assistant", "alertmanager", "map with each", "apic"])
async def test_of_a_feeds_frame_the_good_are_taken_and_the_bad_kept(
    tmp_path: Path, sandbox: Sandbox, name: str
) -> None:
    batch = BATCHES[name]

    async def script(connection: ServerConnection) -> None:
        await connection.send(batch.body(batch.with_bad()).decode())
        await connection.wait_closed()

    async with serve(script, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        source = {**batch.source, "type": "websocket", "url": f"ws://127.0.0.1:{port}"}
        async with running(tmp_path, sandbox, sources={"lab": source}) as relay:
            await relay.until(lambda: len(relay.messages()) == 2)
            kept = await relay.until_seen(lambda: refusals(relay))
            assert [json.loads(one["payload"]) for one in kept] == [batch.with_bad()[1]]
            assert await counted(relay) == 1
