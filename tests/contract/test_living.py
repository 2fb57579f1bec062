"""One incident, one living message: what a room shows, whatever happens on the way."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, not the relay's chance
from typing import Any

import msgspec
import pytest

from relay.core.event import Draft
from relay.ports import Limits
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.fakes.alerts import at, end, fault
from tests.fakes.running import ROOM, Running, is_settled, messages, replies, running, settled, top
from tests.fakes.simulated import SETTINGS, ManualClock, Room, Simulated


async def test_an_incident_lives_in_one_message_and_ends_there(relay: Running) -> None:
    await relay.post(fault())
    await relay.until(lambda: len(relay.messages()) == 1)
    await relay.post(fault())
    await relay.post(fault(severity="critical"))
    await relay.until(lambda: top(relay)[0].text.startswith("🔴 CRITICAL · port-down"))
    await relay.post(end())
    await relay.until(lambda: top(relay)[0].text.startswith("✅ resolved · port-down") and len(replies(relay)) == 2)
    assert len(top(relay)) == 1
    assert top(relay)[0].edits == 2
    assert "was CRITICAL" in top(relay)[0].text
    assert replies(relay)[0] == "🔴 CRITICAL · was MAJOR"
    assert replies(relay)[1].startswith("✅ resolved")
    _, metrics = await relay.get("/metrics")
    assert 'relay_suppressed_total{reason="repeat"} 1.0' in metrics


async def test_what_waits_together_behind_an_outage_is_one_post_that_tells_the_present(relay: Running) -> None:
    relay.sandbox.state.add_room("NOC")
    relay.sandbox.state.faults = [Fault(status=503, method="*")]
    for event in (fault(), fault(), fault(title="port-down again", severity="critical"), end()):
        await relay.post(event)
    await relay.until_shown("/api/v1/status", lambda status: not status["events"]["waiting"])
    tried = relay.sandbox.state.requests  # what is in flight after some more was leased after the plan
    await relay.until(lambda: relay.sandbox.state.requests >= tried + 3)
    relay.sandbox.state.faults = []
    await relay.until_state("superseded", 4)
    await relay.until_state("done", 1)
    (message,) = relay.messages()
    assert message.text.startswith("✅ resolved · port-down again")
    _, found = await relay.get("/api/v1/deliveries")
    assert sorted({d["state"] for d in found}) == ["done", "superseded"]
    assert message.edits == 0
    _, status = await relay.get("/api/v1/status")
    assert status["rooms"][0]["waiting"] == 0


async def test_nine_edits_tell_of_changes_and_the_tenth_of_the_end(relay: Running) -> None:
    await relay.post(fault())
    await relay.until(lambda: len(relay.messages()) == 1)
    for number in range(12):
        await relay.post(fault(title=f"port-down, change {number}"))
        await relay.until(lambda n=number: any(f"change {n}" in m.text for m in relay.messages()))  # type: ignore[misc]
    assert top(relay)[0].edits == 9
    assert [text.splitlines()[0] for text in replies(relay)] == [
        f"🟠 MAJOR · port-down, change {number}" for number in (9, 10, 11)
    ]
    await relay.post(end())
    await relay.until(lambda: top(relay)[0].text.startswith("✅ resolved · port-down, change 11"))
    await relay.until(lambda: replies(relay)[-1].startswith("✅ resolved"))
    assert (len(top(relay)), top(relay)[0].edits) == (1, 10)


async def test_twelve_changes_two_restarts_and_an_end_are_one_message(tmp_path: Path, sandbox: Sandbox) -> None:
    titles = [f"change {number:02}" for number in range(13)]
    for some in (titles[:5], titles[5:9], titles[9:]):
        async with running(tmp_path, sandbox) as relay:
            for title in some:
                await relay.post(fault(title=title))
                await relay.until(lambda text=title: any(text in m.text for m in relay.messages()))  # type: ignore[misc]
            if some[-1] == titles[-1]:
                await relay.post(end())
                await relay.until(lambda: bool(replies(relay)) and replies(relay)[-1].startswith("✅ resolved"))
    (message,) = [message for message in messages(sandbox) if message.parent is None]
    assert (message.edits, message.text.splitlines()[0].split(" · ")[:2]) == (10, ["✅ resolved", "change 12"])
    assert len([one for one in messages(sandbox) if one.parent == message.id]) == 4


@pytest.mark.parametrize("by", ["edit", "reply"])
async def test_a_message_that_is_gone_is_posted_anew(tmp_path: Path, sandbox: Sandbox, by: str) -> None:
    async with running(tmp_path, sandbox, route={"rooms": ["noc"], "on_update": by}) as relay:
        await relay.post(fault())
        await relay.until_state("done", 1)
        (room,) = (r for r in sandbox.state.rooms.values() if r.title == "NOC")
        gone = next(iter(room.messages))
        del room.messages[gone], sandbox.state.where[gone]
        await relay.post(fault(title="port-down for good"))
        await relay.until(lambda: len(relay.messages()) == 1)
        assert top(relay)[0].text.startswith("🟠 MAJOR · port-down for good")
        await relay.until_state("done", 2)
        await relay.post(end())
        await relay.until(lambda: top(relay)[0].text.startswith("✅ resolved"))


async def test_a_message_that_takes_no_more_edits_is_answered_in_its_thread(relay: Running) -> None:
    await relay.post(fault())
    await relay.until_state("done", 1)
    top(relay)[0].edits = 10  # as somebody else's edits would
    await relay.post(fault(title="port-down, worse"))
    await relay.until(lambda: len(replies(relay)) == 1)
    assert replies(relay)[0].startswith("🟠 MAJOR · port-down, worse")


async def test_an_incident_outlives_restarts_and_is_one_message_to_its_end(tmp_path: Path, sandbox: Sandbox) -> None:
    for number in range(3):
        async with running(tmp_path, sandbox) as relay:
            await relay.post(fault(title=f"port-down {number}"))
            await relay.until(lambda n=number: any(f"port-down {n}" in m.text for m in relay.messages()))  # type: ignore[misc]
    async with running(tmp_path, sandbox) as relay:
        await relay.post(end())
        await relay.until(lambda: top(relay)[0].text.startswith("✅ resolved · port-down 2"))
        assert len(top(relay)) == 1


async def test_a_dead_post_that_is_tried_again_when_its_message_stands_is_no_second_one(relay: Running) -> None:
    relay.sandbox.state.add_room("NOC")
    relay.sandbox.state.faults = [Fault(status=400, count=1)]
    await relay.post(fault())
    (dead,) = await relay.until_state("dead")
    await relay.post(fault(title="port-down, worse"))
    await relay.until(lambda: len(relay.messages()) == 1)
    await relay.until_state("done", 1)
    async with relay.session.post(relay.admin + "/api/v1/deliveries/retry", json={"ids": [dead["id"]]}) as answer:
        assert (await answer.json())["changed"] == [dead["id"]]
    await relay.until_state("done", 2)
    (message,) = relay.messages()
    assert (message.edits, message.text.splitlines()[0]) == (1, "🟠 MAJOR · port-down, worse")


async def test_what_still_fires_is_reminded_of_and_what_is_forgotten_expires(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"lab": {"type": "webhook", "resolve_timeout": "2s"}}
    route = {"rooms": ["noc"], "repeat_interval": "500ms"}
    async with running(tmp_path, sandbox, sources=sources, route=route) as relay:
        await relay.post(fault())
        await relay.until(lambda: any("still firing" in text for text in replies(relay)))
        await relay.until(lambda: top(relay)[0].text.startswith("⌛ expired · port-down"))
        await relay.until(lambda: replies(relay)[-1].startswith("⌛ expired after 2 s"))
        await relay.post(fault())
        await relay.until(lambda: len(top(relay)) == 2)


async def test_a_long_body_is_cut_in_the_message_and_whole_in_its_thread(relay: Running) -> None:
    body = "\n".join(f"line {number} of what went wrong" for number in range(600))
    await relay.post(fault(body=body))
    await relay.until(lambda: any("line 599" in text for text in replies(relay)))
    assert "(1/" not in top(relay)[0].text
    assert replies(relay)[0].splitlines()[-1].startswith("(1/")
    await relay.post(end())
    await relay.until(lambda: top(relay)[0].text.startswith("✅ resolved"))
    assert len((top(relay)[0].markdown or "").encode()) <= 7439


async def test_an_end_in_another_room_than_its_labels_lead_to(tmp_path: Path, sandbox: Sandbox) -> None:
    rooms = {name: {"account": "webex", "title": name, "create": True} for name in ("noc", "oncall", "low")}
    route = {
        "rooms": ["noc"],
        "routes": [
            {"matchers": ['severity="critical"'], "rooms": ["oncall"]},
            {"matchers": ['severity="info"'], "rooms": ["low"]},
        ],
    }
    async with running(tmp_path, sandbox, rooms=rooms, route=route) as relay:
        await relay.post(fault(severity="critical", labels={"pod": "1"}))
        await relay.until(lambda: len(relay.messages("oncall")) == 1)
        await relay.post(end(severity="info"))
        await relay.until(lambda: relay.messages("oncall")[0].text.startswith("✅ resolved"))
        await relay.until_shown("/api/v1/status", lambda status: not status["deliveries"].get("waiting"))
        assert relay.messages("low") == relay.messages("noc") == []


async def test_explain_tells_why_an_event_changed_nothing(relay: Running) -> None:
    await relay.post(fault())
    _, answer = await relay.post(fault())
    shown = await relay.until_shown(f"/api/v1/events/{answer['ids'][0]}", lambda event: event["state"] != "waiting")
    assert (shown["suppressed"], shown["deliveries"]) == ("repeat", [])


async def test_the_trail_of_an_incident_is_what_each_of_its_events_did(tmp_path: Path, sandbox: Sandbox) -> None:
    rooms = {"noc": ROOM, "ops": {**ROOM, "title": "OPS"}}
    async with running(tmp_path, sandbox, rooms=rooms, route={"rooms": ["noc", "ops"]}) as relay:
        await relay.post({"title": "another alert", "status": "firing", "key": "other"})
        await relay.post(end())
        for event in (fault(), fault(), fault(severity="critical"), end()):
            await relay.post(event)
            await settled(relay)
        listed = (await relay.get("/api/v1/incidents?ended=true"))[1]
        for one in [one for one in listed if one["title"].startswith("port-down")]:
            _, shown = await relay.get(f"/api/v1/incidents/{one['id']}")
            did = [
                (event["status"], event["suppressed"], [delivery["action"] for delivery in event["deliveries"]])
                for event in reversed(shown["events"])
            ]
            assert did == [
                ("firing", None, ["post"]),
                ("firing", "repeat", []),
                ("firing", None, ["edit", "reply"]),
                ("resolved", None, ["edit", "reply"]),
            ]
            assert {d["room"] for event in shown["events"] for d in event["deliveries"]} == {one["room"]}
            assert shown["markdown"].startswith("✅ **resolved** · port-down")


async def test_an_incident_that_waits_for_its_group_has_no_message_yet(tmp_path: Path, sandbox: Sandbox) -> None:
    route = {"rooms": ["noc"], "group_by": ["site"], "group_wait": "1h"}
    async with running(tmp_path, sandbox, route=route) as relay:
        await relay.post(fault())
        (one,) = await relay.until_shown("/api/v1/incidents")
        _, shown = await relay.get(f"/api/v1/incidents/{one['id']}")
        assert [(event["waits"], event["deliveries"]) for event in shown["events"]] == [(True, [])]
        assert shown["markdown"] is None


KEYS = 6


def random_change(dice: Random, state: dict[str, str | None], step: int) -> dict[str, Any]:
    """What happens next to one of the alerts; `state` is the title that each shows, None where it does not fire."""
    key = f"k{dice.randrange(KEYS)}"
    if state[key] is not None and dice.random() < 0.3:
        state[key] = None
        return end(key=key)
    state[key] = f"{key} at step {step}"
    return fault(key=key, title=state[key], severity=dice.choice(["critical", "major", "minor"]))


def random_fault(dice: Random) -> Fault:
    """What goes wrong next with the service."""
    return Fault(
        status=dice.choice([0, 429, 500, 503]),
        retry_after="0",
        drop=dice.random() < 0.2,
        latency=dice.choice([0.0, 0.02]),
        count=dice.randrange(1, 6),
        method=dice.choice(["*", "PUT", "POST"]),
    )


async def check_truth(relay: Running, key: str, title: str | None) -> None:
    """All messages of an alert say that it is over, but for the one that shows the title with which it fires."""
    mine = [message.text.splitlines()[0] for message in top(relay) if f" · {key} at step" in message.text]
    incident = (await relay.daemon.store.known([("lab", key)])).incidents.get(("lab", key), {}).get("noc")
    if incident is not None and incident.quiet:
        assert "flapping" in mine[-1]
        assert (incident.event.title if incident.firing else None) == title
        return
    firing = [line for line in mine if not line.startswith("✅ resolved")]
    assert [line.split(" · ")[1] for line in firing] == ([] if title is None else [title]), (key, mine)


@pytest.mark.parametrize("seed", range(3))
async def test_after_the_dust_has_settled_every_message_shows_the_truth(
    tmp_path: Path, sandbox: Sandbox, seed: int
) -> None:
    dice = Random(seed)  # noqa: S311 - seeded, so that a history can be repeated
    state: dict[str, str | None] = {f"k{number}": None for number in range(KEYS)}
    route = {"rooms": ["noc"], "reopen_within": "1h" if seed % 2 else "0s"}
    sandbox.state.add_room("NOC")
    for start in range(3):
        async with running(tmp_path, sandbox, route=route) as relay:
            for step in range(25):
                if dice.random() < 0.3:
                    sandbox.state.faults = [random_fault(dice)]
                changes = [
                    random_change(dice, state, start * 1_000 + step * 10 + n) for n in range(dice.randrange(1, 4))
                ]
                assert (await relay.post(changes))[0] == 202
                if dice.random() < 0.3:
                    await relay.get("/readyz")
    sandbox.state.faults = []
    async with running(tmp_path, sandbox, route=route) as relay:
        await relay.until_shown(
            "/api/v1/status", lambda status: is_settled(status) and not status["deliveries"].get("dead")
        )
        for key, title in state.items():
            await check_truth(relay, key, title)
        assert all(message.edits <= 10 for message in top(relay))
        assert await relay.daemon.store.queries.count_untold_events() == 0


async def test_an_update_is_an_edit_and_a_reply_where_both_are_wanted(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, route={"rooms": ["noc"], "on_update": ["edit", "reply"]}) as relay:
        await relay.post(fault())
        await relay.until(lambda: len(relay.messages()) == 1)
        await relay.post(fault(severity="minor"))
        await relay.until(lambda: len(replies(relay)) == 1 and top(relay)[0].edits == 1)
        assert top(relay)[0].text.startswith("🟡 MINOR")
        assert replies(relay)[0].startswith("🟡 MINOR")


async def test_a_restart_tells_no_alert_to_be_expired_before_it_has_been_heard_of(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    sources = {"lab": {"type": "webhook", "resolve_timeout": "1s"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        await relay.post(fault())
        await relay.until(lambda: len(relay.messages()) == 1)
    wait = asyncio.Event()
    asyncio.get_running_loop().call_later(1.2, wait.set)
    await wait.wait()
    async with running(tmp_path, sandbox, sources=sources) as relay:
        await relay.post(end())
        await relay.until(lambda: top(relay)[0].text.startswith("✅ resolved"))
        await settled(relay)
        assert not any("expired" in text for text in replies(relay))


async def test_the_last_word_of_a_message_that_never_stood_is_not_posted(tmp_path: Path, sandbox: Sandbox) -> None:
    route = {"rooms": ["noc"], "mention": ["anna@example.net"]}
    sandbox.state.add_room("NOC")
    sandbox.state.faults = [Fault(status=400, latency=0.5, count=1)]
    async with running(tmp_path, sandbox, route=route) as relay:
        await relay.post(fault())
        await relay.until_state("leased")
        await relay.post(fault(severity="critical"))
        await relay.until_state("dropped")
        await relay.until(lambda: len(relay.messages()) == 1)
        await relay.post(end())
        await relay.until(lambda: top(relay)[0].text.startswith("✅ resolved"))
        await settled(relay)
        assert len(top(relay)) == 1


async def test_what_happened_while_a_room_was_gone_is_told_when_it_is_back(tmp_path: Path, sandbox: Sandbox) -> None:
    rooms = {"noc": ROOM, "ops": {**ROOM, "title": "OPS"}}
    grouped = {"matchers": ["site=a"], "group_by": ["site"], "group_wait": "0s", "group_interval": "100ms"}
    there = {"rooms": ["noc"], "routes": [grouped]}
    gone = {"rooms": ["ops"], "routes": [{**grouped, "rooms": ["ops"]}]}
    async with running(tmp_path, sandbox, rooms=rooms, route=there) as relay:
        await relay.post([fault(key="single"), at("a", key="k1"), at("a", key="k2")])
        await relay.until(lambda: len(top(relay)) == 2)
        await settled(relay)
    async with running(tmp_path, sandbox, rooms={"ops": rooms["ops"]}, route=gone) as relay:
        await relay.post([end(key="single"), end(key="k1"), end(key="k2")])
        await settled(relay)
        assert not any(message.text.startswith("✅") for message in top(relay))
    async with running(tmp_path, sandbox, rooms=rooms, route=there) as relay:
        await relay.until(lambda: all(message.text.startswith("✅") for message in top(relay)))
        assert len(top(relay)) == 2


async def test_a_repeat_that_expires_sooner_is_looked_at_sooner(tmp_path: Path) -> None:
    dice, clock = Random(1), ManualClock()  # noqa: S311 - seeded, so that it can be repeated
    room = Room(clock, dice)
    relay = Simulated(tmp_path, clock, room, dice, SETTINGS)
    await relay.start()
    clock.time += 1_000.0
    alert = Draft(title="a", status="firing", key="k", severity="minor", ends_at=clock.time + 3_000.0)
    await relay.post([alert])
    await relay.settle(5.0)
    await relay.post([msgspec.structs.replace(alert, ends_at=clock.time + 10.0)])
    await relay.settle(30.0)
    assert [message.text[:1] for message in room.messages.values()] == ["⌛", "⌛"]
    await relay.stop()


async def test_a_dead_delivery_that_is_retried_late_tells_what_is_true_then(tmp_path: Path) -> None:
    dice, clock = Random(1), ManualClock()  # noqa: S311 - seeded, so that it can be repeated
    room = Room(clock, dice)
    room.trouble = 1.0
    relay = Simulated(tmp_path, clock, room, dice, SETTINGS)
    await relay.start()
    await relay.post([Draft(title="a", status="firing", key="k", severity="minor")])
    await relay.turn()
    await relay.post([Draft(title="a", status="resolved", key="k")])
    await relay.turn()
    await relay.stop()
    with closing(sqlite3.connect(tmp_path / "relay.db")) as database:
        dead = "UPDATE deliveries SET state = 'dead', reason = 'remote', settled_at = ? WHERE settled_at IS NULL"
        database.execute(dead, (clock.time,))
        database.commit()
    room.trouble = 0.0
    relay = Simulated(tmp_path, clock, room, dice, SETTINGS)
    await relay.start()
    clock.time += 8 * 86_400.0
    while await relay.store.prune(Limits(), clock.time):
        pass
    assert await relay.store.change_deliveries("retry", [1], clock.time) == [(1, "noc")]
    await relay.dispatcher.changed("retry", ["noc"])
    await relay.settle(5.0)
    assert [message.text[:1] for message in room.messages.values()] == ["✅"]
    await relay.stop()
