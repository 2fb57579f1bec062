"""Groups, and what is held back, on a relay that runs."""

from __future__ import annotations

from pathlib import Path

from relay.ports import Limits
from relay.sandbox.server import Sandbox
from tests.fakes.alerts import GROUPED, at, end, fault
from tests.fakes.running import replies, running, settled, top

ALL = Limits(done=0.0, dead=0.0, size=1, pressing=True)


async def test_a_group_is_one_message_that_tells_of_all_its_alerts(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, route=GROUPED) as relay:
        await relay.post([at("ams1", key="a", title="disk full"), at("ams1", key="b", title="no route")])
        await relay.post(at("fra1", key="c"))
        await relay.until(lambda: len(relay.messages()) == 2)
        (group,) = (m for m in top(relay) if "firing" in m.text)
        assert group.text.splitlines()[0] == "🟠 2 firing · worst MAJOR · site ams1"
        assert {line.split(" · ")[0] for line in group.text.splitlines()[2:]} == {"- 🟠 disk full", "- 🟠 no route"}
        await relay.post(at("ams1", key="d", title="core down", severity="critical"))
        await relay.until(lambda: any("CRITICAL · core down" in text for text in replies(relay)))
        assert group.text.splitlines()[0] == "🔴 3 firing · worst CRITICAL · site ams1"
        await relay.post([end(key="a"), end(key="b")])
        await relay.until(lambda: group.text.startswith("🔴 1 firing, 2 ended"))
        await relay.post(end(key="d"))
        await relay.until(lambda: group.text.startswith("✅ all 3 resolved · site ams1"))
        await relay.until(lambda: replies(relay)[-1] == "✅ all 3 resolved")
        await settled(relay)
        assert len(top(relay)) == 2
        assert await relay.daemon.store.queries.count_untold_events() == 0


async def test_what_ends_before_its_group_is_due_is_told_to_nobody(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, route={**GROUPED, "group_wait": "1s"}) as relay:
        _, fired = await relay.post(at("ams1"))
        _, ended = await relay.post(end())
        for answer in (fired, ended):
            path = f"/api/v1/events/{answer['ids'][0]}"
            await relay.until_shown(path, lambda event: event["suppressed"] == "brief")
        assert relay.messages() == []
        assert await relay.daemon.store.queries.count_untold_events() == 0


async def test_a_group_out_of_edits_goes_on_in_a_new_message_and_the_old_one_says_so(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    route = {**GROUPED, "group_wait": "0s", "group_interval": "0s"}
    async with running(tmp_path, sandbox, route=route) as relay:
        for number in range(12):
            await relay.post(at("ams1", key=f"k{number}", title=f"fault {number}"))
            shown = f"{number + 1} firing" if number else "fault 0"
            await relay.until(lambda text=shown: any(text in message.text for message in top(relay)))  # type: ignore[misc]
            await settled(relay)
        first, second = top(relay)
        assert first.text.startswith("⏩ continued · fault 0")
        assert (first.edits, second.text.splitlines()[0]) == (10, "🟠 12 firing · worst MAJOR · site ams1")
        await relay.post([end(key=f"k{number}") for number in range(12)])
        await relay.until(lambda: second.text.startswith("✅ all 12 resolved"))
        await settled(relay)
        assert first.edits == 10


async def test_a_new_critical_rings_by_a_new_message_that_mentions(tmp_path: Path, sandbox: Sandbox) -> None:
    route = {"rooms": ["noc"], "mention": ["anna@example.net", "ben@example.net"]}
    async with running(tmp_path, sandbox, route=route) as relay:
        await relay.post(fault())
        await relay.until(lambda: len(top(relay)) == 1)
        await relay.post(fault(severity="critical"))
        await relay.until(lambda: len(top(relay)) == 2 and top(relay)[0].edits == 1)
        old, new = top(relay)
        assert (new.markdown or "").splitlines()[-1] == (
            "<@personEmail:anna@example.net> <@personEmail:ben@example.net>"
        )
        assert old.text.startswith("⏩ continued · port-down")
        await relay.post(end())
        await relay.until(lambda: new.text.startswith("✅ resolved"))
        assert "personEmail" not in (new.markdown or "")


async def test_pruning_takes_nothing_that_a_group_waits_for(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, route={**GROUPED, "group_wait": "1s", "group_interval": "1s"}) as relay:
        await relay.post([at("a", key="k1"), at("a", key="k2")])
        await relay.post(at("a", key="k1", severity="critical"))
        await relay.until_shown("/api/v1/status", lambda status: not status["events"]["waiting"])
        await relay.daemon.store.prune(ALL, relay.daemon.pipeline.planner.vigil._clock.now())
        await relay.until(lambda: any("2 firing" in message.text for message in relay.messages()))
        await settled(relay)
        await relay.post([end(key="k1", occurred_at="2020-01-01T00:00:00Z"), end(key="k2")])
        await relay.until_shown("/api/v1/status", lambda status: not status["events"]["waiting"])
        for _ in range(3):
            await relay.daemon.store.prune(ALL, relay.daemon.pipeline.planner.vigil._clock.now())
        await relay.until(lambda: any("all 2 resolved" in message.text for message in relay.messages()))
