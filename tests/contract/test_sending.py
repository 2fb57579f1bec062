"""What reaches the rooms, whatever the service answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.fakes.running import TOKEN, Running, running


async def test_a_long_text_becomes_numbered_parts_in_one_thread(relay: Running) -> None:
    body = "\n".join(f"line {n} <@all> *not bold* ünïcödé" for n in range(1_000))
    await relay.post({"title": "long", "body": body})
    await relay.until(lambda: any("line 999" in m.text for m in relay.messages()))
    await relay.until_state("done", len(relay.messages()))
    found = relay.messages()
    first, rest = found[0], found[1:]
    assert first.parent is None
    assert {m.parent for m in rest} == {first.id}
    assert all(len((m.markdown or "").encode()) <= 7439 for m in found)
    assert [m.text.rsplit("\n", 1)[1] for m in found] == [f"({n}/{len(found)})" for n in range(1, len(found) + 1)]
    assert "line 999" in rest[-1].text
    assert not [m for m in found if "<@" in (m.markdown or "")]


async def test_what_is_throttled_is_sent_later_and_counts_as_no_failure(relay: Running) -> None:
    relay.sandbox.state.faults = [Fault(status=429, retry_after="0", count=3)]
    await relay.post({"title": "x"})
    (delivery,) = await relay.until_state("done")
    assert delivery["attempts"] == 1
    assert relay.sandbox.state.throttled == 3
    _, metrics = await relay.get("/metrics")
    assert 'relay_throttled_total{account="webex"} 3.0' in metrics


async def test_an_outage_loses_nothing_and_keeps_the_order(relay: Running) -> None:
    relay.sandbox.state.faults = [Fault(status=503, count=6, method="*"), Fault(drop=True, count=1)]
    for number in range(20):
        await relay.post({"title": f"event {number}"})
    await relay.until_state("done", 20)
    order = [m.text.splitlines()[0].split(" · ")[1] for m in relay.messages()]
    assert order == [f"event {number}" for number in range(20)]


async def test_a_refused_token_holds_everything_until_the_file_has_a_good_one(tmp_path: Path, sandbox: Sandbox) -> None:
    file = tmp_path / "token"
    file.write_text("wrong", encoding="utf-8")
    accounts = {"webex": {"type": "webex", "url": f"{sandbox.address}/v1", "token": {"file": str(file)}}}
    async with running(tmp_path, sandbox, accounts=accounts, operator={"room": "noc"}) as relay:
        await relay.post({"title": "held"})
        await relay.until_shown("/api/v1/status", lambda status: status["accounts"][0]["refused"])
        (held, *_) = await relay.until_state("waiting")
        assert held["attempts"] == 0
        _, status = await relay.get("/api/v1/status")
        assert status["rooms"][0]["dead"] == 0
        file.write_text(TOKEN, encoding="utf-8")
        relay.daemon.loops["credentials"].nudge()
        await relay.until(lambda: any("held" in m.text for m in relay.messages()))
        await relay.until(
            lambda: any("✅ resolved · relay: Account webex is accepted again" in m.text for m in relay.messages())
        )
    assert "wrong" not in (tmp_path / "relay.log").read_text(encoding="utf-8")


async def test_a_room_that_is_gone_makes_dead_deliveries_that_can_be_retried(tmp_path: Path, sandbox: Sandbox) -> None:
    rooms = {"noc": {"account": "webex", "title": "Later"}, "ops": {"account": "webex", "title": "Ops", "create": True}}
    async with running(tmp_path, sandbox, rooms=rooms, operator={"room": "ops"}) as relay:
        await relay.post({"title": "x"})
        (dead,) = await relay.until_state("dead")
        assert (dead["reason"], "Later" in dead["last_error"]) == ("unknown_room", True)
        await relay.until(lambda: any("Room noc is refused" in m.text for m in relay.messages("Ops")))
        sandbox.state.add_room("Later")
        async with relay.session.post(relay.admin + "/api/v1/deliveries/retry", json={"ids": [dead["id"]]}) as answer:
            assert (await answer.json())["changed"] == [dead["id"]]
        await relay.until(lambda: len(relay.messages("Later")) == 1)


async def test_rooms_are_found_by_title_over_pages_by_id_and_by_person(tmp_path: Path, sandbox: Sandbox) -> None:
    for number in range(1_500):
        sandbox.state.add_room(f"room {number}")
    core = sandbox.state.add_room("Core")
    rooms = {
        "noc": {"account": "webex", "title": "room 1400"},
        "core": {"account": "webex", "id": core.id},
        "person": {"account": "webex", "person": "oncall@example.net"},
        "made": {"account": "webex", "title": "Made", "create": True, "members": ["a@example.net"]},
    }
    async with running(tmp_path, sandbox, rooms=rooms, route={"rooms": list(rooms)}) as relay:
        await relay.post({"title": "x"})
        await relay.until_state("done", 4)
        for title in ("room 1400", "Core", "oncall@example.net", "Made"):
            assert len(relay.messages(title)) == 1
        made = next(room for room in sandbox.state.rooms.values() if room.title == "Made")
        assert "a@example.net" in made.members


async def test_two_names_of_one_space_come_to_share_a_lane(tmp_path: Path, sandbox: Sandbox) -> None:
    core = sandbox.state.add_room("Core")
    rooms = {"noc": {"account": "webex", "title": "Core"}, "core": {"account": "webex", "id": core.id}}
    async with running(tmp_path, sandbox, rooms=rooms, route={"rooms": ["noc", "core"]}) as relay:
        for number in range(5):
            await relay.post({"title": f"{number}"})
        await relay.until_state("done", 10)
        assert relay.daemon.pipeline.book.lanes["noc"] is relay.daemon.pipeline.book.lanes["core"]


async def test_a_template_that_fails_gives_the_plain_message_and_is_counted(tmp_path: Path, sandbox: Sandbox) -> None:
    templates = {"bad": "{{ labels.nothing.at.all }}", "good": "{{ title }} for {{ room }}"}
    rooms = {
        "noc": {"account": "webex", "title": "NOC", "create": True, "template": "bad"},
        "ok": {"account": "webex", "title": "OK", "create": True, "template": "good"},
    }
    async with running(tmp_path, sandbox, rooms=rooms, templates=templates, route={"rooms": ["noc", "ok"]}) as relay:
        await relay.post({"title": "still told"})
        await relay.until_state("done", 2)
        assert "still told" in relay.messages()[0].text
        assert relay.messages("OK")[0].text == "still told for ok"
        _, metrics = await relay.get("/metrics")
        assert 'relay_template_failures_total{template="bad"} 1.0' in metrics


@pytest.mark.parametrize(
    "title", ["<@all> **x** [a](http://evil)", "<@personEmail:a@b.c|x>", "<spark-mention x>", "`<@all>`"]
)
async def test_an_event_cannot_mention_link_or_format(relay: Running, title: str) -> None:
    await relay.post({"title": title, "body": title, "labels": {"site": title}})
    await relay.until(lambda: len(relay.messages()) == 1)
    from markdown_it import MarkdownIt

    markdown = relay.messages()[0].markdown or ""
    tokens = [child.type for token in MarkdownIt("commonmark").parse(markdown) for child in token.children or ()]
    assert set(tokens) <= {"text", "strong_open", "strong_close", "hardbreak", "softbreak", "text_special"}
    assert tokens.count("strong_open") == 1
    assert "<" not in markdown


async def test_a_resolved_event_ends_where_it_began_and_inherits_what_it_lacks(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    rooms = {name: {"account": "webex", "title": name, "create": True} for name in ("noc", "oncall")}
    route = {"rooms": ["noc"], "routes": [{"matchers": ['severity="critical"'], "rooms": ["oncall"]}]}
    async with running(tmp_path, sandbox, rooms=rooms, route=route) as relay:
        await relay.post({"title": "port down", "severity": "critical", "status": "firing", "key": "p1"})
        await relay.post({"status": "resolved", "key": "p1"})
        await relay.until(lambda: any(m.text.startswith("✅ resolved · port down") for m in relay.messages("oncall")))
        assert relay.messages("noc") == []


async def test_a_room_at_fault_is_not_tried_faster_because_others_get_through(tmp_path: Path, sandbox: Sandbox) -> None:
    rooms = {name: {"account": "webex", "title": name, "create": True} for name in ("good", "bad")}
    route = {"rooms": ["good"], "routes": [{"matchers": ['severity="critical"'], "rooms": ["bad"]}]}
    sandbox.state.add_room("bad")
    sandbox.state.faults = [Fault(status=503, room="bad")]
    async with running(tmp_path, sandbox, rooms=rooms, route=route, retry={"first": "1h", "longest": "1h"}) as relay:
        await relay.post({"title": "x", "severity": "critical"})
        await relay.until_shown("/api/v1/deliveries?room=bad&reason=remote")
        for number in range(20):
            await relay.post({"title": f"{number}"})
        await relay.until_state("done", 20)
        _, ((bad),) = await relay.get("/api/v1/deliveries?room=bad")
        assert (bad["state"], bad["attempts"]) == ("waiting", 1)
        sandbox.state.faults = []
        async with relay.session.post(relay.admin + "/api/v1/deliveries/retry", json={"ids": [bad["id"]]}) as answer:
            assert (await answer.json())["changed"] == [bad["id"]]
        await relay.until(lambda: len(relay.messages("bad")) == 1)


async def test_what_is_dropped_by_hand_is_counted(relay: Running) -> None:
    relay.sandbox.state.faults = [Fault(status=503, method="*")]
    await relay.post({"title": "x"})
    (waiting,) = await relay.until_state("waiting")

    async def drop() -> Any:
        wanted = {"ids": [waiting["id"]]}
        async with relay.session.post(relay.admin + "/api/v1/deliveries/drop", json=wanted) as answer:
            return (await answer.json())["changed"]

    await relay.until_seen(drop)  # none is dropped while it is leased
    _, metrics = await relay.get("/metrics")
    assert 'relay_deliveries_total{result="dropped",room="noc"} 1.0' in metrics


async def test_trouble_that_an_earlier_process_told_is_told_to_be_over(tmp_path: Path, sandbox: Sandbox) -> None:
    options: dict[str, object] = {"operator": {"room": "noc"}}
    bad = {"webex": {"type": "webex", "url": f"{sandbox.address}/v1", "token": "wrong"}}
    async with running(tmp_path, sandbox, accounts=bad, **options) as relay:
        await relay.post({"title": "held"})
        await relay.until_shown("/api/v1/events?source=relay")
    async with running(tmp_path, sandbox, **options) as relay:
        await relay.until(
            lambda: any("✅ resolved · relay: Account webex is accepted again" in m.text for m in relay.messages())
        )


async def test_a_paced_account_sends_no_faster_and_the_worst_first(tmp_path: Path, sandbox: Sandbox) -> None:
    accounts = {"webex": {"type": "webex", "url": f"{sandbox.address}/v1", "token": TOKEN, "pace": "2/s"}}
    rooms = {name: {"account": "webex", "title": name, "create": True} for name in ("low", "high", "mid")}
    route = {
        "rooms": ["low"],
        "routes": [
            {"matchers": ['severity="critical"'], "rooms": ["high"]},
            {"matchers": ['severity="minor"'], "rooms": ["mid"]},
        ],
    }
    async with running(tmp_path, sandbox, accounts=accounts, rooms=rooms, route=route) as relay:
        await relay.post([{"title": "x", "severity": word} for word in ("info", "info", "minor", "minor", "critical")])
        await relay.until_state("done", 5)
        posted = sorted((m for title in rooms for m in relay.messages(title)), key=lambda m: m.created)
        assert posted[0].text.startswith("🔴")
        assert posted[-1].text.startswith("⚪")
        assert posted[-1].created - posted[0].created > 1.0
