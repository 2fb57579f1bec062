"""The admin address: who may ask, and one truth in all its answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.fakes.running import Running, running

METRICS = (
    "relay_events_received_total",
    "relay_events_duplicate_total",
    "relay_events_refused_total",
    "relay_deliveries_total",
    "relay_delivery_failures_total",
    "relay_suppressed_total",
    "relay_throttled_total",
    "relay_ambiguous_sends_total",
    "relay_queue_depth",
    "relay_queue_oldest_seconds",
    "relay_dead_deliveries",
    "relay_accept_seconds",
    "relay_delivery_seconds",
    "relay_config_last_reload_successful",
    "relay_config_hash",
    "relay_build_info",
)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "relay.example.net"},
        {"Host": "[::1"},
        {"Host": "evil.example@127.0.0.1"},
        {"Origin": "https://evil.example"},
        {"Origin": "https://[bad"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_foreign_hosts_and_pages_are_refused(relay: Running, headers: dict[str, str]) -> None:
    status, body = await relay.get("/api/v1/status", headers=headers)
    assert (status, body["error"]["code"]) == (403, "forbidden")


async def test_with_a_token_everything_but_health_needs_it(tmp_path: Path, sandbox: Sandbox) -> None:
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "admin_token": "admin-secret"}
    async with running(tmp_path, sandbox, listen=listen) as relay:
        for path in ("/api/v1/status", "/metrics", "/api/v1/events"):
            assert (await relay.get(path))[0] == 401
            assert (await relay.get(path, headers={"Authorization": "Bearer wrong"}))[0] == 401
            assert (await relay.get(path, headers={"Authorization": "Bearer admin-secret"}))[0] == 200
        for path in ("/healthz", "/readyz", "/-/healthy", "/-/ready"):
            assert (await relay.get(path))[0] == 200
    assert "admin-secret" not in (tmp_path / "relay.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("query", ["events?limit=-1", "events?limit=99999", "events?no=1", "deliveries?state=x"])
async def test_bad_queries_are_400(relay: Running, query: str) -> None:
    status, body = await relay.get(f"/api/v1/{query}")
    assert (status, body["error"]["code"]) == (400, "malformed")


async def test_status_metrics_and_deliveries_agree(tmp_path: Path, sandbox: Sandbox) -> None:
    rooms = {"noc": {"account": "webex", "title": "NOC", "create": True}, "gone": {"account": "webex", "title": "Gone"}}
    route = {"rooms": ["noc"], "routes": [{"matchers": ['severity="minor"'], "rooms": ["gone"]}]}
    async with running(tmp_path, sandbox, rooms=rooms, route=route) as relay:
        await relay.post([{"title": "a"}, {"title": "b"}, {"title": "c", "severity": "minor"}])
        await relay.until_state("done", 2)
        await relay.until_state("dead", 1)
        sandbox.state.faults = [Fault(status=503)]
        await relay.post({"title": "held"})
        await relay.until_state("waiting")
        _, status = await relay.get("/api/v1/status")
        noc, gone = status["rooms"]
        assert ("503" in noc["last_error"], gone["last_error"]) == (True, None)
        _, text = await relay.get("/metrics")
        samples = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert (
            status["deliveries"]["done"] == samples["relay_deliveries_total", ("result", "done"), ("room", "noc")] == 2
        )
        assert status["deliveries"]["dead"] == samples["relay_dead_deliveries", ("room", "gone")] == 1
        assert samples["relay_deliveries_total", ("result", "dead"), ("room", "gone")] == 1
        assert samples["relay_delivery_failures_total", ("reason", "unknown_room"), ("room", "gone")] == 1
        assert samples["relay_events_received_total", ("source", "lab"), ("status", "notice")] == 4
        sandbox.state.faults = []


async def test_every_metric_stands_from_the_start(relay: Running) -> None:
    _, text = await relay.get("/metrics")
    for name in METRICS:
        assert f"\n{name}" in text


async def test_a_token_that_no_header_can_carry_holds_the_account(tmp_path: Path, sandbox: Sandbox) -> None:
    file = tmp_path / "token"
    file.write_text("two\nlines", encoding="utf-8")
    accounts = {"webex": {"type": "webex", "url": f"{sandbox.address}/v1", "token": {"file": str(file)}}}
    async with running(tmp_path, sandbox, accounts=accounts) as relay:
        await relay.post({"title": "held"})
        status = await relay.until_shown("/api/v1/status", lambda status: status["accounts"][0]["refused"])
        assert "no header can carry" in status["accounts"][0]["refused"]
        (held,) = await relay.until_state("waiting")
        assert held["attempts"] == 0
        file.write_text(sandbox.token, encoding="utf-8")
        relay.daemon.loops["credentials"].nudge()
        await relay.until(lambda: len(relay.messages()) == 1)


async def test_a_key_with_odd_bytes_is_400(relay: Running) -> None:
    status, body = await relay.post({"title": "x"}, headers={"Idempotency-Key": "\u00ff"})
    assert (status, body["error"]["code"]) == (400, "malformed")


async def test_a_label_that_is_not_there_is_empty_in_a_template(tmp_path: Path, sandbox: Sandbox) -> None:
    rooms = {"noc": {"account": "webex", "title": "NOC", "create": True, "template": "t"}}
    async with running(tmp_path, sandbox, rooms=rooms, templates={"t": "{{ title }}[{{ labels.rack }}]"}) as relay:
        await relay.post({"title": "x"})
        await relay.until(lambda: len(relay.messages()) == 1)
        assert relay.messages()[0].text == "x[]"
