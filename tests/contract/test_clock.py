"""Jumps of the machine's clock change nothing of what rooms are told, and when: in one process and over restarts."""

from __future__ import annotations

from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

import msgspec
import pytest

from relay.core.event import Draft
from relay.core.silencing import Wish
from relay.web.silences import SilenceBook
from tests.fakes.simulated import ManualClock, Room, Simulated

DAY = 86_400.0
ROUGHLY = 30.0
"""Seconds by which a start may change when something is told: it looks at what is due a little at a time."""
SETTINGS: dict[str, Any] = {
    "operator": {"room": "noc"},
    "accounts": {"webex": {"type": "webex", "token": "none"}},
    "rooms": {"noc": {"account": "webex", "id": "a"}},
    "sources": {"lab": {"type": "webhook"}},
    "route": {
        "rooms": ["noc"],
        "repeat_interval": "1h",
        "reopen_within": "30m",
        "routes": [
            {"matchers": ["site=a"], "group_by": ["site"], "group_wait": "2m", "group_interval": "10m"},
        ],
    },
}
Told = list[tuple[int, str]]
"""Seconds since the start, and the action."""


def dice_of(seed: int) -> Random:
    """Chance that can be repeated."""
    return Random(seed)  # noqa: S311 - as above


class Diary(Room):
    """A room that writes down when it was told what; it takes no time."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, dice_of(0))
        self.began, self.spent = clock.time, 0.0
        self.told: Told = []

    async def send(self, message: Any) -> Any:
        """Take it, without time."""
        now = self._clock.time
        outcome = await super().send(message)
        self._clock.time = now
        self.told.append((round(now - self.began + self.spent), message.action))
        return outcome


def history(dice: Random) -> list[tuple[float, list[Draft]]]:
    """Alerts of a few keys, alone and in a group: they fire, change, end and come again over some hours."""
    found = []
    for _ in range(14):
        key = dice.choice(("k1", "k2", "g1", "g2"))
        draft = Draft(
            title=dice.choice(("up", "down")),
            key=key,
            status=dice.choice(("firing", "firing", "resolved")),
            severity=dice.choice(("major", "critical")),
            labels={"site": "a"} if key[0] == "g" else {},
        )
        found.append((dice.choice((30.0, 400.0, 1_500.0, 4_000.0)), [draft]))
    return found


async def play(folder: Path, seed: int, *, jumps: bool, restarts: bool, given: bool = False) -> Told:
    """Play a history; the wall clock is set to anything while a process runs, and back between two.

    Where times are `given`, the source says when it happened, by the machine's clock.
    """
    folder.mkdir()  # noqa: ASYNC240 - nothing else runs
    dice, fate = dice_of(seed), dice_of(seed + 1)
    clock = ManualClock()
    room = Diary(clock)
    relay = Simulated(folder, clock, room, dice_of(0), SETTINGS)
    await relay.start()
    for pause, drafts in history(dice):
        if jumps:
            clock.jump = fate.uniform(-2 * DAY, 2 * DAY)
        await relay.post([_timed(draft, clock.wall()) for draft in drafts] if given else drafts)
        await let_go(relay, pause)
        if restarts and fate.random() < 0.3:
            await relay.stop()
            back = fate.choice((0.0, fate.uniform(0.0, 2 * DAY))) if jumps else 0.0
            begins = clock.wall() - back  # a process begins with the machine's time, which may be set back meanwhile
            room.spent += clock.time - begins
            clock.time, clock.jump = begins, 0.0
            relay = Simulated(folder, clock, room, dice_of(0), SETTINGS)
            await relay.start()
    await relay.stop()
    return room.told


def _timed(draft: Draft, wall: float) -> Draft:
    """A draft whose source tells when it happened and when its alert expires unless it is told of again."""
    ends_at = wall + 5_000.0 if draft.status == "firing" else None
    return msgspec.structs.replace(draft, occurred_at=wall - 2.0, ends_at=ends_at)


async def let_go(relay: Simulated, seconds: float) -> None:
    """Let the relay's own time go on, a few seconds at a time."""
    end = relay.clock.time + seconds
    while relay.clock.time < end:
        await relay.turn()
        await relay.turn()
        relay.clock.time = min(end, relay.clock.time + 10.0)


def times(told: Told, action: str) -> list[int]:
    """When the room got what was of a kind."""
    return sorted(at for at, kind in told if kind == action)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("seed", range(4))
async def test_the_wall_clock_may_jump_at_any_moment(tmp_path: Path, seed: int, given: bool) -> None:
    steady = await play(tmp_path / "steady", seed, jumps=False, restarts=False, given=given)
    assert len(steady) > 10
    assert await play(tmp_path / "jumping", seed, jumps=True, restarts=False, given=given) == steady


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("seed", range(4))
async def test_a_clock_that_is_set_while_a_relay_runs_or_back_while_none_does_makes_nothing_late_or_early(
    tmp_path: Path, seed: int, given: bool
) -> None:
    steady = await play(tmp_path / "steady", seed, jumps=False, restarts=True, given=given)
    jumping = await play(tmp_path / "jumping", seed, jumps=True, restarts=True, given=given)
    for action in ("post", "edit", "reply"):  # of two messages that are due together either may be first
        pairs = zip(times(jumping, action), times(steady, action), strict=True)
        assert max((abs(at - due) for at, due in pairs), default=0.0) <= ROUGHLY


@pytest.mark.parametrize("jump", [-2 * DAY, 0.0, 3 * DAY])
async def test_a_silence_holds_for_as_long_as_it_was_asked_for(tmp_path: Path, jump: float) -> None:
    clock = ManualClock()
    clock.jump = jump
    room = Diary(clock)
    relay = Simulated(tmp_path, clock, room, dice_of(0), SETTINGS)
    await relay.start()
    desk = SilenceBook(relay.planner.vigil, lambda: "s1", clock)
    wish = Wish(matchers=("key=k1",), ends_at=clock.wall() + 7_200.0, created_by="anna", comment="change")
    await desk.put(wish)
    (shown,) = (await desk.known()).values()
    assert shown.state(clock.wall()) == "active"
    assert shown.ends_at == pytest.approx(clock.wall() + 7_200.0)
    await relay.post([Draft(title="down", key="k1", status="firing")])
    await let_go(relay, 7_190.0)
    assert room.told == []
    await let_go(relay, 30.0)
    assert [action for _, action in room.told] == ["post"]
    await relay.stop()
