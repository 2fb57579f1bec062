"""What once went wrong with groups, storms and silences, each as a claim."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from relay.core.matching import parse_matchers
from relay.core.storm import is_storm, open_storm
from relay.ports import Limits
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.contract.test_groups import GROUPED, at, settled
from tests.contract.test_living import end, fault, replies, top
from tests.fakes.running import PATIENCE, ROOM, running

ALL = Limits(done=0.0, dead=0.0, size=1, pressing=True)


async def test_pruning_takes_nothing_that_a_group_waits_for(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, route={**GROUPED, "group_wait": "1s", "group_interval": "1s"}) as relay:
        await relay.post([at("a", key="k1"), at("a", key="k2")])
        await relay.post(at("a", key="k1", severity="critical"))
        async with asyncio.timeout(PATIENCE):
            while (await relay.get("/api/v1/status"))[1]["events"]["waiting"]:
                pass
        await relay.daemon.store.prune(ALL, relay.daemon.planner.vigil._clock.now())
        await relay.until(lambda: any("2 firing" in message.text for message in relay.messages()))
        await settled(relay)
        await relay.post([end(key="k1", occurred_at="2020-01-01T00:00:00Z"), end(key="k2")])
        async with asyncio.timeout(PATIENCE):
            while (await relay.get("/api/v1/status"))[1]["events"]["waiting"]:
                pass
        for _ in range(3):
            await relay.daemon.store.prune(ALL, relay.daemon.planner.vigil._clock.now())
        await relay.until(lambda: any("all 2 resolved" in message.text for message in relay.messages()))


async def test_a_label_that_speaks_of_storms_is_only_a_label(tmp_path: Path, sandbox: Sandbox) -> None:
    for _ in range(2):
        async with running(tmp_path, sandbox, route={**GROUPED, "group_wait": "0s"}) as relay:
            await relay.post(at("x|storm y"))
            await relay.until(lambda: len(top(relay)) == 1)
            assert await relay.daemon.store.storms() == []
    assert is_storm(open_storm("noc", 1.0).id)
    assert not is_storm('noc|{}/{a=~"b|storm c"}\n[["site","x|storm y"]]')


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


def test_a_backslash_that_escapes_nothing_stands_for_itself() -> None:
    for text, value in ((r'a=~"host\d+"', r"host\d+"), (r'a=~"a\.b"', r"a\.b"), (r'a="x\\y\"z\n"', 'x\\y"z\n'),
                        (r"a=\\", "\\"), (r"a=~\d+", r"\d+")):  # fmt: skip
        (matcher,) = parse_matchers(text)
        assert matcher.value == value
        (again,) = parse_matchers(str(matcher))
        assert msgspec.structs.replace(again, pattern=None) == msgspec.structs.replace(matcher, pattern=None)
