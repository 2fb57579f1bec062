"""Deliveries that failed and wait while their room goes on: they are tried again once the room takes anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

import msgspec
import pytest
import yaml

from relay.app.assembly.accounts import make_fallbacks, make_lanes
from relay.app.trial.simulation import NoFiles
from relay.core.event import Draft, Severity
from relay.core.retry import PROBE_AFTER, SET_ASIDE_AFTER, RetryPolicy
from relay.formats import FORMATS
from relay.settings.load import load
from relay.templates.rendering import TemplateRenderer
from tests.fakes.simulated import ManualClock, Room, Simulated

POLICY = RetryPolicy(1.0, 300.0, 86_400.0)
ALONE = ("noc",)
TWO = ("noc", "ops")


def rooms(*names: str) -> dict[str, Any]:
    """Rooms of one account; an event's label `to` names its room."""
    routes = [{"matchers": [f"to={name}"], "rooms": [name]} for name in names]
    return {
        "accounts": {"webex": {"type": "webex", "token": "x"}},
        "rooms": {name: {"account": "webex", "id": name, "digest_over": 10_000} for name in names},
        "route": {"rooms": [names[0]], "routes": routes},
    }


class Place:
    """A relay over rooms of one account, in a time of its own."""

    def __init__(self, folder: Path, *names: str, seed: int = 1) -> None:
        self.clock, self.folder, self._names, self._seed = ManualClock(), folder, names, seed
        self.service = Room(self.clock, self._dice())
        self.relay = self._made()

    def _dice(self) -> Random:
        return Random(self._seed)  # noqa: S311 - a seeded history

    def _made(self) -> Simulated:
        return Simulated(self.folder, self.clock, self.service, self._dice(), rooms(*self._names), policy=POLICY)

    async def restart(self) -> None:
        await self.relay.stop()
        self.relay = self._made()
        await self.relay.start()

    async def post(self, title: str, room: str = "noc", severity: Severity = "major", **more: Any) -> None:
        draft = Draft(title=title, status="notice", severity=severity, labels={"to": room})
        await self.relay.post([msgspec.structs.replace(draft, **more)])

    async def pass_time(self, seconds: float) -> None:
        until = self.clock.time + seconds
        while self.clock.time < until:
            await self.relay.turn()
            self.clock.time += 1.0

    async def busy_elsewhere(self, seconds: float, room: str = "ops") -> None:
        """Let time pass while another room of the account gets its messages."""
        for number in range(int(seconds // 10)):
            await self.post(f"elsewhere {number}", room)
            await self.pass_time(10)

    async def is_set_aside(self, title: str) -> bool:
        """Return whether a delivery that waits is set aside."""
        return any(one["set_aside"] for one in await self.deliveries() if one["title"] == title)

    async def deliveries(self) -> list[dict[str, Any]]:
        return list(msgspec.json.decode(await self.relay.store.queries.list_deliveries(limit=10_000)))

    def tries(self, title: str) -> list[float]:
        """When a message was tried."""
        return [at for at, _, text, _ in self.service.tries if title in text]

    def came(self, title: str) -> float | None:
        """When a message got through."""
        return next((at for at, _, text, good in self.service.tries if good and title in text), None)

    def order(self, since: float) -> list[str]:
        """The first lines of what was tried since a time."""
        return [text.splitlines()[0] for at, _, text, _ in self.service.tries if at > since]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path, *TWO)
    await made.relay.start()
    yield made
    await made.relay.stop()


async def set_aside_a_critical(place: Place) -> None:
    """Fail a room while the account's other room works, until the critical at its head is set aside."""
    place.service.closed.add("noc")
    await place.post("core router down", severity="critical")
    while not await place.is_set_aside("core router down"):
        await place.busy_elsewhere(10)


async def test_a_critical_that_was_set_aside_is_sent_once_its_room_takes_anything(place: Place) -> None:
    await set_aside_a_critical(place)
    await place.busy_elsewhere(60)
    assert place.came("core router down") is None
    place.service.closed.clear()
    await place.post("newer")
    await place.pass_time(10)
    newer, critical = place.came("newer"), place.came("core router down")
    assert newer is not None
    assert critical is not None
    assert critical - newer < 3.0


async def test_all_that_was_set_aside_comes_back_oldest_first_and_before_what_is_newer(place: Place) -> None:
    await set_aside_a_critical(place)
    await place.post("second")
    while not await place.is_set_aside("second"):
        await place.busy_elsewhere(10)
    place.service.closed.clear()
    began = place.clock.time
    for number in range(4):
        await place.post(f"newer {number}")
    await place.pass_time(20)
    told = [
        title
        for line in place.order(began)
        for title in ("newer 0", "core router", "second", "newer 1")
        if title in line
    ]
    assert told == ["newer 0", "core router", "second", "newer 1"]


async def test_what_was_set_aside_before_a_restart_is_sent_once_its_room_takes_anything(place: Place) -> None:
    await set_aside_a_critical(place)
    await place.restart()
    assert await place.is_set_aside("core router down")
    place.service.closed.clear()
    await place.post("newer")
    await place.pass_time(10)
    assert place.came("core router down") is not None


async def test_the_first_success_after_a_restart_has_the_accounts_other_rooms_tried_again(place: Place) -> None:
    await set_aside_a_critical(place)
    await place.restart()
    place.service.closed.clear()
    await place.post("elsewhere", "ops")
    await place.pass_time(10)
    assert place.came("core router down") is not None


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_set_aside_alone_is_tried_as_soon_as_the_service_is_back(tmp_path: Path, seed: int) -> None:
    place = Place(tmp_path, *TWO, seed=seed)
    await place.relay.start()
    await set_aside_a_critical(place)
    place.service.down = True
    await place.post("in the outage", "ops")
    await place.pass_time(SET_ASIDE_AFTER * 3)
    place.service.down = False
    place.service.closed.clear()
    while place.came("in the outage") is None:
        await place.pass_time(1)
    await place.pass_time(5)
    assert place.came("core router down") is not None
    await place.relay.stop()


async def test_the_only_lane_goes_back_to_what_made_way_for_its_probe(tmp_path: Path) -> None:
    place = Place(tmp_path, *ALONE)
    await place.relay.start()
    place.service.poison.add("core router down")
    await place.post("core router down", severity="critical")
    await place.post("the probe")
    await place.pass_time(PROBE_AFTER - 60)
    place.service.poison.clear()
    place.service.down = True
    await place.pass_time(60)
    while len(place.tries("the probe")) < 1:
        await place.pass_time(1)
    place.service.down = False
    while place.came("the probe") is None:
        await place.pass_time(1)
    await place.pass_time(5)
    assert place.came("core router down") is not None
    await place.relay.stop()


async def test_a_probe_that_gets_through_brings_the_head_back_at_once(tmp_path: Path) -> None:
    place = Place(tmp_path, *ALONE)
    await place.relay.start()
    place.service.poison.add("core router down")
    await place.post("core router down", severity="critical")
    await place.post("the probe")
    while place.came("the probe") is None:
        await place.pass_time(1)
    place.service.poison.clear()
    await place.pass_time(5)
    assert place.came("core router down") is not None
    await place.relay.stop()


async def test_the_rest_of_a_message_that_was_set_aside_follows_it_at_once(place: Place) -> None:
    place.service.closed.add("noc")
    await place.post("core router down", severity="critical", status="firing", key="k1")
    await place.post(
        "core router down",
        severity="critical",
        status="firing",
        key="k1",
        body="\n".join(f"line {number} of a long report" for number in range(600)),
    )
    while not await place.is_set_aside("core router down"):
        await place.busy_elsewhere(10)
    place.service.closed.clear()
    await place.post("newer")
    await place.pass_time(15)
    waiting = [one for one in await place.deliveries() if one["state"] == "waiting"]
    assert waiting == []


async def test_an_edit_that_was_set_aside_takes_its_replies_along(place: Place) -> None:
    await place.post("link down", status="firing", key="k1")
    await place.pass_time(5)
    place.service.closed.add("noc")
    await place.post("link down", severity="critical", status="firing", key="k1")
    await place.post("link down", severity="critical", status="resolved", key="k1")
    await place.post("other")
    while not await place.is_set_aside("link down"):
        await place.busy_elsewhere(10)
    place.service.closed.clear()
    await place.post("newer")
    await place.pass_time(15)
    assert [one for one in await place.deliveries() if one["state"] == "waiting"] == []
    assert next(iter(place.service.messages.values())).text.startswith("✅")


async def test_a_message_that_never_gets_through_is_no_busy_loop(place: Place) -> None:
    place.service.poison.add("poison")
    await place.post("poison", severity="critical")
    hours = 2
    for number in range(hours * 360):
        await place.post(f"fine {number}")
        await place.busy_elsewhere(10)
    await place.pass_time(200)
    assert place.came("fine 719") is not None
    own_schedule = 9 + hours * 3_600 / (POLICY.longest / 2)
    assert len(place.tries("poison")) <= own_schedule + 12


async def test_two_messages_that_never_get_through_do_not_drive_one_another(place: Place) -> None:
    place.service.poison |= {"poison", "venom"}
    await place.post("poison", severity="critical")
    await place.post("venom", "ops", severity="critical")
    await place.post("venom too")
    for number in range(360):
        await place.post(f"fine {number}")
        await place.post(f"fine {number}", "ops")
        await place.pass_time(10)
    own_schedule = 9 + 3_600 / (POLICY.longest / 2)
    assert len(place.tries("poison")) <= own_schedule + 24
    assert len(place.tries("venom")) <= 2 * (own_schedule + 24)


async def test_what_was_set_aside_is_sent_by_the_lane_that_a_reload_gives_to_its_room(place: Place) -> None:
    await set_aside_a_critical(place)
    file = place.folder / "other.yaml"
    file.write_text(yaml.safe_dump(rooms("noc", "ops", "more")), encoding="utf-8")
    changed, book = load(file, FORMATS).settings, place.relay.book
    lanes = make_lanes(changed, {"webex": place.service}, place.clock.now(), book.all_lanes())
    assert lanes["noc"] is not book.lanes["noc"]
    renderer = TemplateRenderer({}, changed.timezone, never)
    book.use(lanes, make_fallbacks(changed))
    place.relay.dispatcher.use(renderer, NoFiles(), POLICY)
    place.service.closed.clear()
    await place.post("newer")
    await place.pass_time(10)
    assert place.came("core router down") is not None


def never(template: str, event_id: str, error: str) -> None:
    raise AssertionError((template, event_id, error))


async def test_what_was_set_aside_for_one_name_of_a_space_is_sent_when_another_name_shows_that_it_works(
    place: Place,
) -> None:
    place.service.spaces = {"noc": "one", "ops": "one"}
    await place.post("first")
    await place.pass_time(5)
    place.service.poison.add("core router down")
    await place.post("core router down", severity="critical")
    await place.post("behind it")
    while not await place.is_set_aside("core router down"):
        await place.pass_time(1)
        place.relay.book.accounts()[0].succeeded_at = place.clock.time  # a third room's messages get through
    place.service.poison.clear()
    await place.post("by the other name", "ops")
    await place.pass_time(5)
    assert place.relay.book.lanes["noc"] is place.relay.book.lanes["ops"]
    assert place.came("core router down") is not None


@pytest.mark.parametrize("seed", range(6))
async def test_at_most_one_newer_message_gets_through_before_what_was_set_aside_is_tried(
    tmp_path: Path, seed: int
) -> None:
    place, dice = Place(tmp_path, *TWO, seed=seed), Random(seed)  # noqa: S311 - a seeded history
    await place.relay.start()
    titles = []
    for number in range(240):
        if dice.random() < 0.05:
            place.service.closed ^= {"noc"}
        if dice.random() < 0.03:
            await place.restart()
        titles.append(f"alert-{number:03}")
        await place.post(titles[-1], severity=dice.choice(("critical", "minor")))
        await place.busy_elsewhere(10)
    place.service.closed.clear()
    await place.pass_time(900)
    passed = [most_that_overtook(place, title) for title in titles]
    assert max(passed) <= 1
    assert all(place.came(title) is not None for title in titles)
    await place.relay.stop()


def most_that_overtook(place: Place, title: str) -> int:
    """How many newer messages got through between two tries of a message, at the most.

    One that a crash has sent twice counts once.
    """
    tries = [(text.split("alert-")[1][:3], good) for _, room, text, good in place.service.tries if room == "noc"]
    own, most = title.removeprefix("alert-"), 0
    newer: set[str] = set()
    for number, good in tries:
        if number == own:
            most, newer = max(most, len(newer)), set()
            if good:
                break
        elif number > own and good:
            newer.add(number)
    return most
