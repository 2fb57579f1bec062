"""Rooms that can't be reached: what was for them goes to their fallback, and comes back to them."""

from __future__ import annotations

from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

import pytest

from relay.core.delivery import Failed, Outcome, Refused
from relay.core.event import Draft
from relay.ports import Limits, Send
from relay.senders.spika import SERVICE as SPIKA
from tests.fakes.simulated import ManualClock, Room, Simulated

AFTER = 120.0


def settings(*, mention: bool = False, **noc: Any) -> dict[str, Any]:
    """A Webex room with a Spika room behind it."""
    rung = {"mention": ["anna@example.net"]} if mention else {}
    return {
        "accounts": {
            "webex": {"type": "webex", "token": "x"},
            "spika": {"type": "spika", "url": "https://spika.example.net", "access_token": "x"},
        },
        "rooms": {
            "noc": {"account": "webex", "id": "R1", "fallback": "backup", "digest_over": 10_000, **noc},
            "backup": {"account": "spika", "id": 5, "digest_over": 10_000},
        },
        "route": {"rooms": ["noc"], **rung},
    }


class Both:
    """A relay over two rooms, in a time of its own."""

    def __init__(self, folder: Path, **noc: Any) -> None:
        self.clock = ManualClock()
        self._folder, self._noc = folder, noc
        dice = Random(1)  # noqa: S311 - a seeded history
        self.noc, self.backup = Room(self.clock, dice), Room(self.clock, dice, SPIKA)
        self.relay = self._made()

    def _made(self) -> Simulated:
        dice = Random(1)  # noqa: S311 - a seeded history
        return Simulated(self._folder, self.clock, self.noc, dice, settings(**self._noc), self.backup)

    async def start(self) -> Both:
        await self.relay.start()
        return self

    async def restart(self) -> None:
        await self.relay.stop()
        self.relay = self._made()
        await self.relay.start()

    async def post(self, title: str, key: str | None = None, status: Any = "firing", severity: str = "major") -> None:
        await self.relay.post([Draft(title=title, status=status if key else "notice", severity=severity, key=key)])

    async def pass_time(self, seconds: float) -> None:
        until = self.clock.time + seconds
        while self.clock.time < until:
            await self.relay.turn()
            self.clock.time += 1.0

    def places(self, title: str) -> tuple[int, int]:
        """How many messages of each room name a title, threads left out where there are any."""
        named = [
            sum(title in one.text for one in room.messages.values() if one.parent is None or not room.service.edits)
            for room in (self.noc, self.backup)
        ]
        return named[0], named[1]

    def notes(self) -> list[list[str]]:
        return [
            [one.text for one in room.messages.values() if one.text.startswith("↩")] for room in (self.noc, self.backup)
        ]


@pytest.fixture
async def both(tmp_path: Path) -> Any:
    made = await Both(tmp_path).start()
    yield made
    await made.relay.stop()


def check_what_is_said(both: Both) -> None:
    """What was left behind tells the present once, and what was moved says where it was meant to be."""
    stale = [one for one in both.noc.messages.values() if "before-02" in one.text]
    assert stale[0].text.startswith("✅ **resolved** · before-02")
    assert stale[0].text.endswith("↪ goes on in room backup")
    assert stale[0].edits == 1
    moved = [one for one in both.backup.messages.values() if "during-07" in one.text]
    assert moved[0].text.endswith("↪ for room noc")


async def test_an_hour_without_webex_puts_every_alert_into_exactly_one_room(both: Both) -> None:
    for number in range(10):
        await both.post(f"before-{number:02}", f"b{number}")
    await both.relay.settle(10)
    assert len(both.noc.messages) == 10
    both.noc.down = True
    for minute in range(60):
        await both.post(f"during-{minute:02}", f"d{minute}")
        await both.post(f"notice-{minute:02}")
        if minute in (20, 30):
            await both.post(f"before-{minute // 10:02}", f"b{minute // 10}", "resolved")
        if minute == 40:
            await both.restart()
        await both.pass_time(60)
    assert len(both.noc.messages) == 10
    assert both.notes() == [[], []]
    both.noc.down = False
    await both.relay.settle(400)
    await both.post("after", "a1")
    await both.relay.settle(10)
    for minute in range(60):
        assert both.places(f"during-{minute:02}") == (0, 1)
        assert both.places(f"notice-{minute:02}") == (0, 1)
    for number in range(10):
        assert both.places(f"before-{number:02}") == (1, 1 if number in (2, 3) else 0)
    assert both.places("after") == (1, 0)
    (home,), (away,) = both.notes()
    assert home.startswith("↩ **this room is back** · could not be reached from ")
    assert "122 messages went to room backup and stay there" in home
    assert away.startswith("↩ **room noc is back** · 122 messages for it came here from ")
    check_what_is_said(both)


async def test_what_was_moved_lives_where_it_stands_and_what_is_new_comes_home(both: Both) -> None:
    both.noc.down = True
    await both.post("tunnel down", "t1")
    await both.pass_time(AFTER + 60)
    assert both.places("tunnel down") == (0, 1)
    both.noc.down = False
    await both.relay.settle(400)
    await both.post("tunnel down", "t1", "resolved")
    await both.relay.settle(10)
    assert both.places("tunnel down") == (0, 2)  # Spika can't edit: the end is a message of its own
    assert both.backup.shown[-1].startswith("✅ **resolved** · tunnel down")
    both.clock.time += 3_600
    await both.post("tunnel down", "t1")
    await both.relay.settle(10)
    assert both.places("tunnel down") == (1, 2)


async def test_a_short_failure_moves_nothing(both: Both) -> None:
    both.noc.down = True
    await both.post("blip", "b1")
    await both.pass_time(AFTER - 60)
    both.noc.down = False
    await both.relay.settle(10)
    assert both.places("blip") == (1, 0)
    assert both.notes() == [[], []]


async def test_a_refused_room_is_left_at_once_and_nothing_is_dead(both: Both) -> None:
    both.noc.refused = True
    await both.post("port-down", "p1")
    await both.pass_time(30)
    assert both.places("port-down") == (0, 1)
    both.noc.refused = False
    await both.relay.settle(400)
    assert [len(notes) for notes in both.notes()] == [1, 1]
    assert both.relay.store is not None
    assert await both.relay.store.queries.dead_counts() == {}


async def test_a_fallback_that_is_refused_itself_loses_nothing(both: Both) -> None:
    both.noc.down = both.backup.refused = True
    for number in range(4):
        await both.post(f"alert-{number}", f"a{number}")
        await both.post(f"notice-{number}")
        await both.pass_time(150)
    both.noc.down = False
    await both.relay.settle(400)
    both.backup.refused = False
    await both.relay.settle(400)
    for number in range(4):
        assert both.places(f"alert-{number}") == (1, 0)
        assert both.places(f"notice-{number}") == (1, 0)
    assert not any("for room" in one.text for one in both.noc.messages.values())
    assert both.relay.store is not None
    assert await both.relay.store.queries.dead_counts() == {}


async def test_a_room_without_edits_hears_of_its_return_once(tmp_path: Path) -> None:
    made = Both(tmp_path)
    made.noc, made.backup = Room(made.clock, Random(1), SPIKA), Room(made.clock, Random(1))  # noqa: S311 - a history
    rooms = settings()
    rooms["rooms"]["noc"] |= {"account": "spika", "id": 5}
    rooms["rooms"]["backup"] |= {"account": "webex", "id": "R1"}
    (tmp_path / "plain").mkdir()
    await made.relay.start()
    await made.relay.stop()
    made.relay = Simulated(tmp_path / "plain", made.clock, made.noc, Random(1), rooms, made.backup)  # noqa: S311 - a history
    await made.start()
    await made.post("tunnel down", "t1")
    await made.relay.settle(10)
    made.noc.down = True
    await made.post("tunnel down", "t1", severity="critical")
    await made.pass_time(AFTER + 60)
    made.noc.down = False
    await made.relay.settle(400)
    assert made.places("tunnel down") == (1, 1)
    assert [len(notes) for notes in made.notes()] == [1, 1]
    await made.relay.stop()


async def test_groups_go_along_with_their_alerts(tmp_path: Path) -> None:
    both = Both(tmp_path)
    base = settings()
    base["route"] = {"rooms": ["noc"], "group_by": ["source"], "group_wait": "0s", "group_interval": "0s"}
    both.relay._stream.close()
    await both.relay.store.close()
    dice = Random(1)  # noqa: S311 - a seeded history
    both.relay = Simulated(tmp_path, both.clock, both.noc, dice, base, both.backup)
    await both.relay.start()
    await both.post("disk full", "k1")
    await both.relay.settle(10)
    both.noc.down = True
    await both.post("cpu hot", "k2")
    await both.pass_time(AFTER + 60)
    assert both.places("cpu hot") == (0, 1)
    assert both.places("disk full") == (1, 1)
    both.noc.down = False
    await both.relay.settle(400)
    await both.post("disk full", "k1", "resolved")
    await both.post("cpu hot", "k2", "resolved")
    await both.relay.settle(10)
    assert "all 2 resolved" in both.backup.shown[-1]
    assert "goes on in room backup" in next(iter(both.noc.messages.values())).text
    await both.relay.stop()


async def test_one_failure_and_one_refused_message_are_no_failing_room(both: Both) -> None:
    real = both.noc.send
    answers: list[Outcome] = [Failed("remote", "502"), Refused("too_large", "delivery", "413")]

    async def send(message: Send) -> Outcome:
        return answers.pop(0) if answers else await real(message)

    both.noc.send = send  # type: ignore[method-assign]
    await both.post("huge", "h1")
    await both.relay.settle(30)
    both.clock.time += 7_200
    for number in range(5):
        await both.post(f"later-{number}", f"l{number}")
    await both.relay.settle(30)
    assert len(both.backup.messages) == 0


async def test_what_was_left_behind_tells_of_its_own_alert_whatever_happened_meanwhile(tmp_path: Path) -> None:
    both = await Both(tmp_path, mention=True).start()
    for number in range(20):
        await both.post(f"alpha-{number:02}", f"a{number}")
    await both.relay.settle(10)
    both.noc.down = True
    for number in range(20):
        await both.post(f"alpha-{number:02} changed", f"a{number}")
    await both.pass_time(AFTER + 90)
    both.noc.down = False
    while not any("goes on" in one.text for one in both.noc.messages.values()):
        await both.pass_time(1)
    for number in range(20):
        await both.post(f"alpha-{number:02} changed", f"a{number}", severity="critical")
    await both.relay.settle(400)
    for number, one in enumerate(list(both.noc.messages.values())[:20]):
        assert f"alpha-{number:02}" in one.text or "continued" in one.text
    await both.relay.stop()


async def test_a_storm_that_moves_takes_its_list_along(tmp_path: Path) -> None:
    both = await Both(tmp_path, digest_over=5).start()
    await both.relay.post([Draft(title=f"s-{n:02}", status="firing", severity="major", key=f"s{n}") for n in range(40)])
    while not any("Storm" in one.text for one in both.noc.messages.values()):
        await both.pass_time(1)
    both.noc.down = True
    await both.relay.post([Draft(title=f"t-{n}", status="firing", severity="major", key=f"t{n}") for n in range(4)])
    await both.pass_time(AFTER + 200)
    both.noc.down = False
    await both.relay.settle(400)
    said = "\n".join((*both.noc.shown, *both.backup.shown))
    assert [n for n in range(40) if f"s-{n:02}" not in said] == [], said[-3000:]
    await both.relay.stop()


async def test_a_message_left_behind_and_deleted_is_not_posted_anew(both: Both) -> None:
    await both.post("alpha", "a1")
    await both.relay.settle(10)
    both.noc.down = True
    await both.post("alpha", "a1", "resolved")
    await both.pass_time(AFTER + 60)
    assert both.places("alpha") == (1, 1)
    both.noc.messages.clear()
    both.noc.down = False
    await both.relay.settle(400)
    assert both.places("alpha") == (0, 1)


async def test_pruning_spares_what_was_left_behind(both: Both) -> None:
    await both.post("alpha", "a1")
    await both.relay.settle(10)
    both.noc.down = True
    await both.post("alpha", "a1", "resolved")
    await both.pass_time(AFTER + 60)
    while await both.relay.store.prune(Limits(done=0.0), both.clock.time):
        pass
    both.noc.down = False
    await both.relay.settle(400)
    assert next(iter(both.noc.messages.values())).text.startswith("✅ **resolved** · alpha")


async def test_a_room_that_takes_no_note_is_not_hammered_with_notes(both: Both) -> None:
    real = both.noc.send
    tried: list[str] = []

    async def send(message: Send) -> Outcome:
        if both.noc.down or not message.markdown.startswith("↩"):
            return await real(message)
        tried.append(message.markdown)
        return Refused("refused", "delivery", "400")

    both.noc.send = send  # type: ignore[method-assign]
    both.noc.down = True
    await both.post("alpha", "a1")
    await both.pass_time(AFTER + 60)
    both.noc.down = False
    await both.pass_time(900)
    assert 1 <= len(tried) <= 4
