"""An event, its plan and its lease share a commit. A kill at any of its statements loses nothing that was answered."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any, TypeVar

import pytest

from relay.core.event import Draft, SourceDefaults
from relay.core.plan import Plan
from relay.ports import Accepted, OutOfStepError, Submission
from relay.storage.sqlite.store import SqliteStore
from tests.fakes.made import event
from tests.fakes.simulated import SETTINGS, ManualClock, Room, Simulated

T = TypeVar("T")
LAB = SourceDefaults(source="lab", format="relay")

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from random import Random
from relay.core.event import Draft
from relay.core.delivery import Delivered
from relay.storage.sqlite import store as sqlite
from tests.fakes.simulated import ManualClock, Room, SETTINGS, Simulated

class Noted(Room):
    def __init__(self, clock, dice, file):
        super().__init__(clock, dice)
        self.file = file
    async def send(self, message):
        outcome = await super().send(message)
        note(self.file, "sent " + message.markdown.split(" · ")[1].split("\\n")[0].strip())
        return outcome

def note(file, line):
    with file.open("a") as stream:
        stream.write(line + "\\n")

async def post(relay, file, title, **more):
    await relay.post([Draft(title=title, severity="major", status="firing", key=title, **more)])
    note(file, "accepted " + title)

async def dispatch(relay):
    await relay.book.work.wait()
    await relay.dispatcher.run_once()

async def work(folder, arm):
    clock, dice = ManualClock(), Random(1)
    file = folder / "noted"
    relay = Simulated(folder, clock, Noted(clock, dice, file), dice, SETTINGS)
    await relay.start()
    await relay.turn()
    await relay.turn()
    arm()
    posts = [post(relay, file, f"alert {n}") for n in range(3)]
    await asyncio.gather(*posts, relay.planner.run_once(), dispatch(relay))
    await relay.settle(5)
    return relay

async def go_on(folder):
    clock, dice = ManualClock(), Random(2)
    clock.time += 1_000.0
    relay = Simulated(folder, clock, Noted(clock, dice, folder / "noted"), dice, SETTINGS)
    await relay.start()
    await relay.settle(5)
    for one in await relay.incidents(ended=True):
        note(folder / "noted", f"on record {one['title']}")
    await relay.stop()

folder, number, left = Path(sys.argv[1]), 0, 0
open_database = sqlite.open_database

def at_each_statement(_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def watched(*arguments):
    connection = open_database(*arguments)
    global arm
    arm = lambda: connection.set_trace_callback(at_each_statement)
    return connection

while True:
    number += 1
    place = folder / str(number)
    place.mkdir()
    (place / "noted").touch()
    child = os.fork()
    if child == 0:
        left = number
        sqlite.open_database = watched
        asyncio.run(work(place, lambda: arm()))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    asyncio.run(go_on(place))
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
print(number)
"""


def test_a_kill_at_any_statement_of_the_commit_loses_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], check=True, capture_output=True, text=True, cwd=root, timeout=100
    )
    assert int(killed.stdout) > 10
    accepted = set[str]()
    for number in range(1, int(killed.stdout) + 1):
        noted = (tmp_path / str(number) / "noted").read_text().splitlines()
        accepted = {line.removeprefix("accepted ") for line in noted if line.startswith("accepted ")}
        on_record = {line.removeprefix("on record ") for line in noted if line.startswith("on record ")}
        sent = [line.removeprefix("sent ") for line in noted if line.startswith("sent ")]
        assert accepted <= on_record, f"killed at statement {number}"
        assert set(sent) == on_record, f"killed at statement {number}"
        assert len(sent) - len(on_record) <= 1, f"killed at statement {number}"
    assert len(accepted) == 3


async def together(*works: Coroutine[Any, Any, T]) -> list[T]:
    """Begin several things at once; return what each gives."""
    async with asyncio.TaskGroup() as tasks:
        begun = [tasks.create_task(work) for work in works]
    return [one.result() for one in begun]


async def dispatch(relay: Simulated) -> None:
    await relay.book.work.wait()
    await relay.dispatcher.run_once()


async def plan(relay: Simulated) -> None:
    await relay.planner.run_once()


async def begun(folder: Path, settings: dict[str, Any]) -> Simulated:
    dice, clock = Random(1), ManualClock()  # noqa: S311 - likewise
    relay = Simulated(folder, clock, Room(clock, dice), dice, settings)
    await relay.start()
    for _ in range(2):  # what is due at a start is done; then the planner has time for an event
        await relay.turn()
    return relay


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Simulated]:
    simulated = await begun(tmp_path, SETTINGS)
    yield simulated
    await simulated.stop()


def draft(name: str) -> Draft:
    return Draft(title=name, key=name, status="firing", severity="major")


async def test_event_plan_and_lease_are_one_commit(relay: Simulated) -> None:
    statements: list[str] = []
    relay.store._connection.set_trace_callback(statements.append)
    await together(relay.post([draft("port down")]), plan(relay), dispatch(relay))
    relay.store._connection.set_trace_callback(None)
    first = statements[: statements.index("COMMIT")]
    for written in ("INSERT INTO events", "INSERT INTO deliveries", "state = 'leased'"):
        assert any(written in statement for statement in first), written
    await relay.settle(5)
    assert [one.text.startswith("🟠") for one in relay.room.messages.values()] == [True]


async def test_a_repeated_request_among_new_ones_is_planned_once(relay: Simulated) -> None:
    repeated: list[str] = []

    async def post(name: str, key: str | None) -> None:
        outcome = await relay.intake.accept(LAB, [draft(name)], b"{}", key)
        assert isinstance(outcome, Accepted)
        if outcome.duplicate:
            repeated.append(name)

    await together(post("first", "k"), plan(relay))
    await together(post("second", None), post("first", "k"), post("third", "j"), plan(relay))
    assert repeated == ["first"]
    await relay.settle(5)
    titles = [one.text.split(" · ")[1].split("\n")[0].strip() for one in relay.room.messages.values()]
    assert sorted(titles) == ["first", "second", "third"]


async def test_what_was_submitted_is_planned_though_its_listener_is_cancelled(relay: Simulated) -> None:
    async with asyncio.TaskGroup() as tasks:
        accepting = tasks.create_task(relay.post([draft("port down")]))
        await relay.pipeline.arrivals.woken.wait()
        accepting.cancel()
    await relay.settle(5)
    assert [one["title"] for one in await relay.incidents(ended=False)] == ["port down"]


async def test_an_event_whose_commit_fails_inhibits_nothing(tmp_path: Path) -> None:
    settings = {**SETTINGS, "inhibit_rules": [{"source_matchers": ["key=core"], "target_matchers": ["key!=core"]}]}
    relay = await begun(tmp_path, settings)
    relay.store._connection.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT raise(ABORT, 'no'); END"
    )

    async def refused() -> None:
        with pytest.raises(sqlite3.IntegrityError):
            await relay.intake.accept(LAB, [draft("core")], b"{}")

    await together(refused(), plan(relay))
    relay.store._connection.execute("DROP TRIGGER broken")
    await together(relay.post([draft("leaf")]), plan(relay))
    await relay.settle(5)
    assert [one["title"] for one in await relay.incidents(ended=False) if one["held"] is None] == ["leaf"]
    await relay.stop()


async def test_a_plan_of_other_events_than_those_that_wait_is_refused_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "relay.db", None)
    try:
        one = Submission(source="lab", received_at=1.0, payload=b"{}", events=(event(id="e1"),))
        begun = store.accept(one)
        for plan in (Plan(begun.first_seq, events=2), Plan(begun.first_seq + 1, events=2)):
            with pytest.raises(OutOfStepError):
                await store.commit_plan(plan, 1.0)
        assert await begun == Accepted(("e1",), first_seq=begun.first_seq)
        assert [waiting.event.id for waiting in await store.waiting_events(9, 1.0)] == ["e1"]
        await store.commit_plan(Plan(begun.first_seq, events=1), 1.0)
        assert not await store.waiting_events(9, 1.0)
    finally:
        await store.close()
