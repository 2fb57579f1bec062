"""Spika: a service whose messages stay as they are, in plain text, without threads and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.core.delivery import Delivered, Failed, Refused, Throttled
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from relay.senders.outcomes import Answer
from relay.senders.spika import outcome_of
from tests.fakes.alerts import at, burst, end, fault
from tests.fakes.running import TOKEN, Running, running, settled
from tests.fakes.silences import change


def spika(sandbox: Sandbox, **room: Any) -> dict[str, Any]:
    return {
        "accounts": {"spika": {"type": "spika", "url": sandbox.address, "access_token": TOKEN}},
        "rooms": {"noc": {"account": "spika", "id": 5, "digest_over": 10_000, **room}},
    }


def texts(relay: Running) -> list[str]:
    return [message.text for message in relay.messages("Spika room 5")]


async def test_each_change_is_a_short_message_of_its_own(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, **spika(sandbox)) as relay:
        links = [{"text": "Runbook", "url": "https://wiki.example.net/p"}]
        await relay.post(fault(body="line *one*\nline two", severity="major", links=links))
        await relay.until(lambda: len(texts(relay)) == 1)
        first = texts(relay)[0].splitlines()
        assert first[0] == "🟠 MAJOR · port-down"
        assert first[2:] == ["line *one*", "line two", "Runbook (https://wiki.example.net/p)"]
        await relay.post(fault(body="line one", severity="critical"))
        await relay.until(lambda: len(texts(relay)) == 2)
        assert len(texts(relay)[1].splitlines()) == 2
        assert texts(relay)[1].startswith("🔴 CRITICAL · port-down\nlab · ")
        _, (incident,) = await relay.get("/api/v1/incidents")
        await change(relay, f"/api/v1/incidents/{incident['id']}/ack", by="anna")
        await relay.until(lambda: len(texts(relay)) == 3)
        assert "👤 anna" in texts(relay)[2]
        await relay.post(end())
        await relay.until(lambda: len(texts(relay)) == 4)
        assert texts(relay)[3].startswith("✅ resolved · port-down")
        await settled(relay)
        assert len(texts(relay)) == 4


async def test_a_file_that_can_not_be_shown_is_named(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, **spika(sandbox)) as relay:
        await relay.post(fault(files=["/var/graphs/door.png"]))
        await relay.until(lambda: len(texts(relay)) == 1)
        assert texts(relay)[0].endswith("↪ not shown here: door.png")


async def test_a_group_is_told_of_in_short_messages(tmp_path: Path, sandbox: Sandbox) -> None:
    route = {"rooms": ["noc"], "group_by": ["site"], "group_wait": "100ms", "group_interval": "100ms"}
    async with running(tmp_path, sandbox, route=route, **spika(sandbox)) as relay:
        await relay.post([at("a", key="k1", title="one"), at("a", key="k2", title="two")])
        await relay.until(lambda: len(texts(relay)) == 1)
        await relay.post(at("a", key="k3", title="three", severity="critical"))
        await relay.until(lambda: len(texts(relay)) == 2)
        assert texts(relay)[1].startswith("🔴 3 firing · worst CRITICAL · site a")
        await relay.post([end(key="k1"), end(key="k2"), end(key="k3")])
        await relay.until(lambda: texts(relay)[-1].startswith("✅ all 3 resolved · site a"))
        await settled(relay)
        assert len(texts(relay)) == 3


async def test_a_new_alert_of_a_group_whose_last_one_ended_is_named(tmp_path: Path, sandbox: Sandbox) -> None:
    route = {"rooms": ["noc"], "group_by": ["site"], "group_wait": "100ms", "group_interval": "100ms"}
    async with running(tmp_path, sandbox, route=route, **spika(sandbox)) as relay:
        await relay.post(at("a", key="k6", title="psu failed"))
        await relay.until(lambda: len(texts(relay)) == 1)
        await relay.post(at("a", key="k6", title="psu failed", status="resolved"))
        await relay.until(lambda: len(texts(relay)) == 2)
        await relay.post(at("a", key="k4", title="core link down", severity="critical"))
        await relay.until(lambda: len(texts(relay)) == 3)
        assert "core link down" in texts(relay)[2]


async def test_the_list_of_a_storm_is_numbered_messages(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, **spika(sandbox, digest_over=10)) as relay:
        sandbox.state.faults = [Fault(latency=0.5)]
        await relay.post(burst(1, 300))
        await relay.until(lambda: any(text.startswith("🌊 Storm ·") for text in texts(relay)))
        await relay.until(lambda: any("Storm over" in text and "/" in text.splitlines()[-1] for text in texts(relay)))
        await settled(relay)
        sandbox.state.faults = []
        parts = [text for text in texts(relay) if text.rstrip().endswith("/3)")]
        assert [text.splitlines()[-1] for text in parts] == ["(1/3)", "(2/3)", "(3/3)"]
        alone = [text.splitlines()[0] for text in texts(relay) if not text.startswith("🌊") and text not in parts]
        listed = "\n".join(parts)
        for number in range(1, 301):
            title = f"fault {number} at node-{number}"
            assert (f" {title} k" in listed) != any(line.endswith(f" · {title}") for line in alone), title
        before = len(texts(relay))
        await relay.post([{"status": "resolved", "key": f"k{n}"} for n in range(1, 301)])
        await relay.until(lambda: any("all have ended" in text for text in texts(relay)[before:]))
        await settled(relay)
        assert await relay.daemon.store.queries.count_untold_events() == 0


async def test_a_token_that_is_not_taken_is_told_before_the_first_alert(tmp_path: Path, sandbox: Sandbox) -> None:
    settings = spika(sandbox)
    settings["accounts"]["spika"]["access_token"] = "another"
    settings["accounts"]["webex"] = {"type": "webex", "url": f"{sandbox.address}/v1", "token": TOKEN}
    settings["rooms"]["own"] = {"account": "webex", "title": "OWN", "create": True}
    async with running(tmp_path, sandbox, operator={"room": "own"}, **settings) as relay:
        await relay.until(lambda: len(relay.messages("OWN")) == 1)
        assert "Account spika is refused" in relay.messages("OWN")[0].text
        await relay.post(fault())
        sandbox.state.add_token("another", "bot@sandbox.example", "Bot")
        relay.daemon.pipeline.book.accounts()[0].open_at = 0.0
        await relay.until(lambda: len(texts(relay)) == 1)


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b'{"status": "success", "data": {"message": {"id": 3}}}', Delivered("3", "5")),
        (200, b"<html>", Failed),
        (200, b'{"status": "error", "data": {"message": {"id": 3}}}', Failed),
        (400, b'{"status": "error", "message": "Room user not found"}', ("unknown_room", "room")),
        (400, b'{"status": "error", "message": "Text is missing"}', ("refused", "delivery")),
        (401, b"Invalid access token", ("auth", "account")),
        (403, b"{}", ("refused", "room")),
        (404, b"<html>", ("refused", "account")),
        (413, b"", ("too_large", "delivery")),
        (429, b"<html>", Throttled),
        (500, b"Server Error SyntaxError", ("remote", "delivery")),
        (500, b"Server error PrismaClientInitializationError", Failed),
        (502, b"<html>", Failed),
        (504, b"<html>", Failed),
    ],
)
def test_what_spika_answers_is_understood(status: int, body: bytes, outcome: Any) -> None:
    found = outcome_of(Answer(status, body), 0.0, "5")
    if isinstance(outcome, tuple):
        assert isinstance(found, Refused)
        assert (found.kind, found.scope) == outcome
    elif isinstance(outcome, type):
        assert isinstance(found, outcome)
    else:
        assert found == outcome


@pytest.mark.parametrize(
    ("headers", "body", "status", "said"),
    [
        ({}, "{}", 401, "No access token"),
        ({"accesstoken": "x"}, "{}", 401, "Invalid access token"),
        ({"accesstoken": TOKEN}, "{", 500, "Server Error"),
        ({"accesstoken": TOKEN}, '{"roomId": "5", "type": "text", "body": {"text": "a"}}', 400, "Invalid params"),
        ({"accesstoken": TOKEN}, '{"roomId": 5, "type": "image", "body": {}}', 400, "Invalid type"),
        ({"accesstoken": TOKEN}, '{"roomId": 5, "type": "text", "body": {"text": ""}}', 400, "Text is missing"),
        ({"accesstoken": TOKEN}, '{"roomId": 77, "type": "text", "body": {"text": "a"}}', 400, "Room user not found"),
    ],
)
async def test_the_sandbox_answers_as_spika_does(
    relay: Running, headers: dict[str, str], body: str, status: int, said: str
) -> None:
    address = f"{relay.sandbox.address}/api/messaging/messages"
    async with relay.session.post(address, data=body, headers=headers) as answer:
        assert answer.status == status
        assert said in await answer.text()
