"""A full disk counts as full until there is plenty of room, or a little has lasted."""

from __future__ import annotations

import io

from relay.logs import make_log
from relay.pipeline.janitor import STEADY, Janitor
from relay.ports import Limits
from tests.fakes.simulated import ManualClock


class Disk:
    """A store as its janitor sees it, with room or without."""

    def __init__(self) -> None:
        self.roomy, self.plenty = True, True

    async def prune(self, limits: Limits, now: float) -> bool:  # noqa: ARG002 - the port's names
        return False

    async def make_room(self) -> bool:
        return self.roomy

    async def has_plenty(self) -> bool:
        return self.plenty

    async def note_time(self, now: float, wall: float) -> None:
        """Nobody asks for it."""


class Shortage:
    """A janitor and its disk."""

    def __init__(self) -> None:
        self.disk, self.clock = Disk(), ManualClock()
        limits = Limits(done=1.0, dead=1.0, size=1)
        self.janitor = Janitor(self.disk, limits, self.clock, make_log("critical", io.StringIO()))

    async def is_short(self, *, roomy: bool, plenty: bool) -> bool:
        """Return whether the disk counts as full after a step in which it is so."""
        self.disk.roomy, self.disk.plenty = roomy, plenty
        await self.janitor.step()
        return self.janitor.is_short


async def test_a_disk_that_was_never_full_is_not_short_of_room() -> None:
    assert not await Shortage().is_short(roomy=True, plenty=False)


async def test_plenty_of_room_ends_a_shortage_at_once() -> None:
    disk = Shortage()
    assert await disk.is_short(roomy=False, plenty=False)
    assert not await disk.is_short(roomy=True, plenty=True)


async def test_a_little_room_ends_a_shortage_when_it_has_lasted() -> None:
    disk = Shortage()
    assert await disk.is_short(roomy=False, plenty=False)
    assert await disk.is_short(roomy=True, plenty=False)
    disk.clock.time += STEADY - 1
    assert disk.janitor.is_short
    disk.clock.time += 1
    assert not disk.janitor.is_short


async def test_a_disk_that_fills_up_again_and_again_is_short_all_the_time() -> None:
    disk = Shortage()
    for _ in range(20):
        assert await disk.is_short(roomy=False, plenty=False)
        disk.clock.time += STEADY / 2
        assert await disk.is_short(roomy=True, plenty=False)
        disk.clock.time += STEADY / 2
        assert disk.janitor.is_short
