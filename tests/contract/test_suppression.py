"""Silences, inhibition and times on a relay that runs; and who has an incident."""

from __future__ import annotations

from pathlib import Path
from random import Random  # noqa: TID251 - seeded, not the relay's chance
from typing import Any

from relay.core.event import Draft, Status
from relay.core.suppression import Silence
from relay.sandbox.server import Sandbox
from tests.fakes.alerts import end, fault
from tests.fakes.running import Running, replies, running, settled, top
from tests.fakes.silences import change, silence, within
from tests.fakes.simulated import SETTINGS, ManualClock, Room, Simulated


async def fates(relay: Running, answer: dict[str, Any]) -> list[str | None]:
    await settled(relay)
    return [(await relay.get(f"/api/v1/events/{event_id}"))[1]["suppressed"] for event_id in answer["ids"]]


async def test_what_is_silenced_is_told_when_its_silence_ends_and_only_if_it_still_fires(relay: Running) -> None:
    silence_id = await silence(relay, 'key=~"p.*"')
    _, both = await relay.post([fault(), fault(key="p2", title="gone soon")])
    assert await fates(relay, both) == ["silenced", "silenced"]
    _, over = await relay.post(end(key="p2"))
    assert await fates(relay, over) == ["silenced"]
    await relay.post(fault(key="q", title="another"))
    await relay.until(lambda: len(relay.messages()) == 1)
    assert (await change(relay, f"/api/v1/silences/{silence_id}/expire"))[1] == {"id": silence_id, "expired": True}
    await relay.until(lambda: len(relay.messages()) == 2)
    await settled(relay)
    assert [message.text.splitlines()[0] for message in relay.messages()] == [
        "🟠 MAJOR · another",
        "🟠 MAJOR · port-down",
    ]
    _, metrics = await relay.get("/metrics")
    assert 'relay_suppressed_total{reason="silenced"} 3.0' in metrics


async def test_a_silence_ends_by_itself_and_outlives_a_restart(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox) as relay:
        await silence(relay, "source=lab", seconds=1.5)
        _, answer = await relay.post(fault())
        assert await fates(relay, answer) == ["silenced"]
    async with running(tmp_path, sandbox) as relay:
        assert [one["state"] for one in (await relay.get("/api/v1/silences"))[1]] in (["active"], ["expired"])
        await relay.until(lambda: len(relay.messages()) == 1)


async def test_a_message_says_that_it_is_silenced_and_disturbs_nobody_meanwhile(relay: Running) -> None:
    await relay.post(fault())
    await relay.until(lambda: len(relay.messages()) == 1)
    silence_id = await silence(relay, "key=p1")
    await relay.until(lambda: top(relay)[0].text.startswith("🔕 silenced · port-down"))
    await relay.post(fault(severity="critical"))
    await relay.until(lambda: "CRITICAL" in top(relay)[0].text)
    assert replies(relay) == []
    await change(relay, f"/api/v1/silences/{silence_id}/expire")
    await relay.until(lambda: replies(relay) == ["🔴 CRITICAL · its silence is over, and it still fires"])
    await silence(relay, "key=p1")
    await relay.post(end())
    await relay.until(lambda: top(relay)[0].text.startswith("✅ resolved"))
    await settled(relay)
    assert (len(top(relay)), len(replies(relay))) == (1, 1)


async def test_bad_silences_are_refused_with_a_reason(relay: Running) -> None:
    good = {"matchers": ["a=b"], "ends_at": within(60), "created_by": "anna", "comment": "c"}
    for wrong, said in (
        ({"matchers": ['a=~"("']}, "expected a regular expression of RE2"),
        ({"matchers": []}, "expected at least one matcher"),
        ({"matchers": ["a=~.*"]}, "must not match an empty value"),
        ({"ends_at": within(-60)}, "found one in the past"),
        ({"starts_at": within(120)}, "expected an end after the beginning"),
        ({"ends_at": "soon"}, "expected a time, like 2026-03-01T02:10:00Z; found 'soon'"),
        ({"comment": " "}, "the comment is missing"),
    ):
        status, body = await change(relay, "/api/v1/silences", **{**good, **wrong})
        assert (status, said in body["error"]["message"]) == (400, True), body
    assert (await change(relay, "/api/v1/silences/nope/expire"))[0] == 404
    assert (await relay.get("/api/v1/silences"))[1] == []


async def test_an_alert_holds_others_back_while_it_fires(tmp_path: Path, sandbox: Sandbox) -> None:
    rules = [{"source_matchers": ["title=core"], "target_matchers": ['title!="core"'], "equal": ["site"]}]
    async with running(tmp_path, sandbox, inhibit_rules=rules) as relay:
        await relay.post(fault(key="c", title="core", labels={"site": "a"}))
        await relay.until(lambda: len(relay.messages()) == 1)
        _, answer = await relay.post(
            [fault(key="x", title="edge x", labels={"site": "a"}), fault(key="y", title="edge y", labels={"site": "b"})]
        )
        assert await fates(relay, answer) == ["inhibited", None]
    async with running(tmp_path, sandbox, inhibit_rules=rules) as relay:
        _, answer = await relay.post(fault(key="z", title="edge z", labels={"site": "a"}))
        assert await fates(relay, answer) == ["inhibited"]
        await relay.post(end(key="c"))
        await relay.until(
            lambda: (
                {"edge x", "edge y", "edge z"} <= {m.text.split(" · ")[1].strip().split("\n")[0] for m in top(relay)}
            )
        )


async def test_a_muted_route_says_nothing_and_another_does(tmp_path: Path, sandbox: Sandbox) -> None:
    rooms = {name: {"account": "webex", "title": name, "create": True} for name in ("noc", "always", "never")}
    always = [{"name": "always", "time_intervals": [{"years": ["2000:2099"]}]}]
    route = {
        "rooms": ["noc"],
        "routes": [
            {"matchers": ['key="p1"'], "rooms": ["always"], "continue": True, "active_time_intervals": ["always"]},
            {
                "matchers": ['key="p1"'],
                "rooms": ["never"],
                "group_by": ["site"],
                "group_wait": "0s",
                "mute_time_intervals": ["always"],
            },
        ],
    }
    async with running(tmp_path, sandbox, rooms=rooms, route=route, time_intervals=always) as relay:
        await relay.post(fault())
        await relay.until(lambda: len(relay.messages("always")) == 1)
        await settled(relay)
        assert relay.messages("never") == []


async def test_who_has_an_incident_stands_in_its_message_and_it_is_not_reminded_of(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    async with running(tmp_path, sandbox, route={"rooms": ["noc"], "repeat_interval": "1s"}) as relay:
        await relay.post(fault())
        await relay.until(lambda: len(relay.messages()) == 1)
        (incident,) = (await relay.get("/api/v1/incidents"))[1]
        assert (incident["room"], incident["severity"], incident["title"]) == ("noc", "major", "port-down")
        await change(relay, f"/api/v1/incidents/{incident['id']}/ack", by="anna", comment="on my *way*")
        await relay.until(lambda: "👤 anna · on my *way*" in top(relay)[0].text)
        told = len(replies(relay))
        (incident,) = (await relay.get("/api/v1/incidents"))[1]
        assert incident["acknowledged_by"] == "anna"
        await relay.post(fault(key="p2"))
        await relay.until(lambda: sum("still firing" in text for text in replies(relay)) > told)
        mine = top(relay)[0].id
        assert sum(message.parent == mine for message in relay.messages()) == told
        assert (await change(relay, "/api/v1/incidents/4711/ack", by="anna"))[0] == 404


async def test_a_silenced_alert_that_changed_and_ended_wakes_nobody(tmp_path: Path) -> None:
    dice, clock = Random(1), ManualClock()  # noqa: S311 - seeded, so that it can be repeated
    room = Room(clock, dice)
    relay = Simulated(tmp_path, clock, room, dice, SETTINGS)
    await relay.start()
    held = Silence(
        id="s",
        matchers=("key=k",),
        starts_at=clock.time,
        ends_at=clock.time + 7_200.0,
        created_by="anna",
        comment="work",
        updated_at=clock.time,
    )
    await relay.planner.vigil.put([held])
    history: list[tuple[str, Status]] = [("a", "firing"), ("worse", "firing"), ("a", "resolved")]
    for title, status in history:
        await relay.post([Draft(title=title, status=status, key="k", severity="minor")])
        await relay.settle(400.0)
    await relay.post([Draft(title="a", status="firing", key="k", severity="minor")])
    await relay.settle(5.0)
    await relay.stop()
    relay = Simulated(tmp_path, clock, room, dice, SETTINGS)
    await relay.start()
    await relay.settle(60.0)
    assert relay.planner.due_at > clock.time
    await relay.stop()
