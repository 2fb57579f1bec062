"""The store's contract: whatever keeps the relay's events must pass this. SQLite's own errors stand at the end."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import NamedTuple

import msgspec
import psycopg
import pytest

from relay.core.delivery import Intent, Settlement, Subject
from relay.core.event import Event
from relay.core.group import Group
from relay.core.plan import Plan, Waiting
from relay.core.storm import open_storm
from relay.ports import (
    Accepted,
    Conflict,
    LaneHead,
    Limits,
    Recovered,
    Refusal,
    Start,
    StoreCorruptError,
    StoreInUseError,
    StoreNewerError,
    StoreUnavailableError,
    Submission,
)
from relay.storage.named import statements
from relay.storage.postgres.database import migrate
from relay.storage.postgres.session import prepared
from relay.storage.postgres.store import PostgresStore
from relay.storage.sqlite.database import APPLICATION_ID, lock, migrations, open_database
from relay.storage.sqlite.store import SqliteStore
from tests.fakes.postgres import Server, postgres

NOW = 1_800_000_000.0
SHIFTED = ("alerts", "deliveries", "groups", "incidents", "silences")
OF_ONE_PROCESS = {"clocks.latest", *(f"clocks.shift_{table}" for table in SHIFTED)}
"""Statements that only a store needs whose times are by its process's own clock."""
NOT_UNIQUE = (sqlite3.IntegrityError, psycopg.errors.UniqueViolation)


@asynccontextmanager
async def opened(folder: Path, size: int | None = None) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(folder / "relay.db", size)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(address)
    try:
        yield store
    finally:
        await store.close()


AnyStore = SqliteStore | PostgresStore


class Opening(NamedTuple):
    """One and the same database: `store` opens it as a store, once or again, and `rows` reads it past the store."""

    store: Callable[[], AbstractAsyncContextManager[AnyStore]]
    rows: Callable[[str], list[tuple[object, ...]]]


@pytest.fixture(params=["sqlite", "postgres"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    if request.param == "sqlite":
        return Opening(lambda: opened(tmp_path), lambda query: in_file(tmp_path / "relay.db", query))
    address = request.getfixturevalue("server").new_database()
    return Opening(lambda: connected(address), lambda query: at_server(address, query))


def in_file(file: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def at_server(address: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(address) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
async def store(opening: Opening) -> AsyncIterator[AnyStore]:
    async with opening.store() as made:
        yield made


def event(number: int) -> Event:
    return Event(
        id=f"event{number:019}",
        source="lab",
        format="relay",
        status="notice",
        severity="major",
        severity_given=True,
        title=f"event {number}",
        body="é" * 10,
        key=f"event{number:019}",
        labels={"n": str(number)},
        links=(),
        files=(),
        occurred_at=NOW,
        received_at=NOW,
    )


def submission(*numbers: int, key: str | None = None, payload: bytes = b"{}") -> Submission:
    return Submission(
        source="lab",
        received_at=NOW,
        payload=payload,
        events=tuple(map(event, numbers)),
        dedupe_key=key,
        digest=None if key is None else hashlib.sha256(payload).digest(),
    )


async def plan_all(store: AnyStore, room: str = "noc") -> list[Waiting]:
    waiting = await store.waiting_events(10_000, NOW)
    posts = [
        Intent(
            action="post", room=room, message=0, event_seq=w.seq, rank=1, subject=Subject(kind="notice", route="route")
        )
        for w in waiting
    ]
    await store.commit_plan(Plan(waiting[-1].seq, posts), NOW)
    return waiting


async def lease(store: AnyStore, *rooms: str, now: float = NOW) -> list[LaneHead]:
    return list(await store.exchange([], {room: room for room in rooms or ("noc",)}, {}, now))


def start(*rooms: str, now: float = NOW) -> Start:
    return Start(now=now, latest=now + 3_600, rooms=rooms or ("noc",))


def done(head: LaneHead, **changes: object) -> Settlement:
    assert head.lease is not None
    settled = Settlement(
        id=head.lease.id, message=head.lease.message, state="done", attempts=1, spent=0, due_at=NOW, remote_id="m1"
    )
    return msgspec.structs.replace(settled, **changes)


async def test_events_wait_in_order_and_whole_across_a_restart(opening: Opening) -> None:
    async with opening.store() as store:
        assert await store.accept(submission(1, 2)) == Accepted((event(1).id, event(2).id), first_seq=1)
        await store.accept(submission(3))
    async with opening.store() as store:
        assert [w.event for w in await store.waiting_events(10, NOW)] == [event(1), event(2), event(3)]
        await plan_all(store)
        assert await store.waiting_events(10, NOW) == []
    async with opening.store() as store:
        assert await store.waiting_events(10, NOW) == []
        assert await store.accept(submission(4)) == Accepted((event(4).id,), first_seq=4)


async def test_a_key_is_one_request_for_ever_and_another_body_is_a_conflict(opening: Opening) -> None:
    async with opening.store() as store:
        await store.accept(submission(1, key="k"))
        assert await store.accept(submission(2, key="k")) == Accepted((event(1).id,), duplicate=True)
    async with opening.store() as store:
        assert await store.accept(submission(2, key="k")) == Accepted((event(1).id,), duplicate=True)
        assert await store.accept(submission(2, key="k", payload=b"other")) == Conflict("k")
        assert len(await store.waiting_events(10, NOW)) == 1


async def test_refused_items_are_committed_with_the_events_of_their_request_and_once(opening: Opening) -> None:
    def mixed(*numbers: int, key: str | None = None) -> Submission:
        bad = Refusal(source="lab", received_at=NOW, reason="malformed", detail="[1]: no title", payload=b"{}")
        return msgspec.structs.replace(submission(*numbers, key=key), refused=(bad,))

    async def kept(store: AnyStore) -> int:
        return len(json.loads(await store.queries.list_events(refused=True)))

    async with opening.store() as store:
        await store.accept(mixed(1, key="k"))
        assert await kept(store) == 1
        begun = [store.accept(mixed(2, key="j")), store.accept(mixed(3, key="j"))]
        assert [await one for one in begun][1] == Accepted((event(2).id,), duplicate=True)
        assert await kept(store) == 2
    async with opening.store() as store:
        assert await store.accept(mixed(1, key="k")) == Accepted((event(1).id,), duplicate=True)
        assert await kept(store) == 2
        with pytest.raises(NOT_UNIQUE):
            await store.accept(mixed(1))  # an event that can't be written takes its refusals with it
        assert await kept(store) == 2
        assert await store.accept(mixed()) == Accepted(())
        assert await kept(store) == 3


async def test_one_bad_item_in_a_group_commit_fails_alone(store: AnyStore) -> None:
    begun = [store.accept(submission(1)), store.accept(submission(1)), store.accept(submission(2))]
    results: list[object] = []
    for one in begun:
        try:
            results.append(await one)
        except NOT_UNIQUE as error:
            results.append(error)
    assert sorted(type(result) is Accepted for result in results) == [False, True, True]
    assert [w.event.title for w in await store.waiting_events(10, NOW)] == ["event 1", "event 2"]


async def test_a_lane_gives_its_deliveries_in_order_one_at_a_time(store: AnyStore) -> None:
    await store.accept(submission(1, 2, 3))
    await plan_all(store)
    (head,) = await lease(store)
    assert head.lease is not None
    assert (head.lease.event.title, head.lease.attempts) == ("event 1", 1)
    (second,) = await store.exchange([done(head)], {"noc": "noc"}, {}, NOW)
    assert second.lease is not None
    assert second.lease.event.title == "event 2"
    found = msgspec.json.decode(await store.queries.list_deliveries())
    assert [d["state"] for d in found] == ["waiting", "leased", "done"]
    assert found[-1]["message_id"] == "m1"


async def test_a_lease_is_given_once(store: AnyStore) -> None:
    await store.accept(submission(1))
    await plan_all(store)
    (head,) = await lease(store)
    assert head.lease is not None
    assert await lease(store) == []


async def test_what_was_leased_when_the_process_died_waits_again(opening: Opening) -> None:
    async with opening.store() as store:
        await store.accept(submission(1))
        await plan_all(store)
        await lease(store)
    async with opening.store() as store:
        assert await store.recover(start()) == Recovered(["noc"], [])
        assert await store.recover(start()) == Recovered([], [])
        (head,) = await lease(store)
        assert head.lease is not None
        assert head.lease.attempts == 1


async def test_a_head_that_is_not_due_holds_its_lane_unless_it_is_set_aside(store: AnyStore) -> None:
    await store.accept(submission(1, 2))
    await plan_all(store)
    (head,) = await lease(store)
    failed = done(head, state="waiting", remote_id=None, due_at=NOW + 60, reason="remote", failed_at=NOW)
    (held,) = await store.exchange([failed], {"noc": "noc"}, {}, NOW)
    assert (held.lease, held.due_at) == (None, NOW + 60)
    (again,) = await store.exchange([], {"noc": "noc"}, {"noc": True}, NOW)
    assert again.lease is not None
    aside = done(again, state="waiting", remote_id=None, due_at=NOW + 60, reason="remote", failed_at=NOW, aside=True)
    (following,) = await store.exchange([aside], {"noc": "noc"}, {}, NOW)
    assert following.lease is not None
    assert following.lease.event.title == "event 2"


async def test_the_rest_of_a_message_that_is_set_aside_waits_with_it_and_no_longer(store: AnyStore) -> None:
    await store.accept(submission(1, 2))
    await plan_all(store)
    (head,) = await lease(store)
    (part,) = await store.exchange([done(head, parts=("two", "three"))], {"noc": "noc"}, {}, NOW)
    aside = {"state": "waiting", "remote_id": None, "due_at": NOW + 60, "reason": "remote", "failed_at": NOW}
    (following,) = await store.exchange([done(part, **aside, aside=True)], {"noc": "noc"}, {}, NOW)
    assert following.lease is not None
    assert following.lease.event.title == "event 2"
    (part,) = await store.exchange([done(following)], {"noc": "noc"}, {"noc": False}, NOW + 1)
    assert part.lease is not None
    assert part.lease.content == "two"
    dead = done(part, state="dead", remote_id=None, reason="remote")
    (rest,) = await store.exchange([dead], {"noc": "noc"}, {}, NOW + 1)
    assert rest.lease is not None
    assert rest.lease.content == "three"


async def test_each_try_in_vain_makes_the_next_success_bring_a_delivery_forward_later(store: AnyStore) -> None:
    await store.accept(submission(1))
    await plan_all(store)
    (head,) = await lease(store)
    due = []
    for now in (NOW, NOW + 100, NOW + 200, NOW + 300):
        aside = done(head, state="waiting", remote_id=None, due_at=now + 60, failed_at=now, reason="remote", aside=True)
        (later,) = await store.exchange([aside], {"noc": "noc"}, {"noc": False}, now)
        if later.lease is None:
            due.append(later.due_at - now)
            (later,) = await store.exchange([], {"noc": "noc"}, {}, later.due_at)
        head = later
    assert due == [1.0, 2.0, 4.0]
    aside = done(
        head, state="waiting", remote_id=None, due_at=NOW + 460, failed_at=NOW + 400, reason="remote", aside=True
    )
    (anew,) = await store.exchange([aside], {"noc": "noc"}, {"noc": True}, NOW + 400)
    assert anew.lease is not None


async def test_parts_follow_their_message_before_the_next_one(store: AnyStore) -> None:
    await store.accept(submission(1, 2))
    await plan_all(store)
    (head,) = await lease(store)
    contents = []
    settlement = done(head, parts=("two", "three"))
    for _ in range(3):
        (head,) = await store.exchange([settlement], {"noc": "noc"}, {}, NOW)
        assert head.lease is not None
        contents.append((head.lease.action, head.lease.content, head.lease.remote))
        settlement = done(head, remote_id=None)
    assert contents == [("reply", "two", "m1"), ("reply", "three", "m1"), ("post", None, None)]


async def test_a_late_settlement_of_a_lost_lease_changes_nothing(store: AnyStore) -> None:
    await store.accept(submission(1))
    await plan_all(store)
    (head,) = await lease(store)
    await store.recover(start())
    await store.exchange([done(head)], {}, {}, NOW)
    found = msgspec.json.decode(await store.queries.list_deliveries())
    assert found[0]["state"] == "waiting"


async def test_what_is_done_is_pruned_after_its_time_and_what_waits_never(store: AnyStore) -> None:
    await store.accept(submission(1, 2))
    await plan_all(store)
    (head,) = await lease(store)
    await store.exchange([done(head)], {}, {}, NOW)
    limits = Limits(done=60, dead=120, size=2**30)
    assert not await store.prune(limits, NOW + 59)
    assert await store.prune(limits, NOW + 61)
    while await store.prune(limits, NOW + 10**9):
        pass
    found = msgspec.json.decode(await store.queries.list_deliveries())
    assert [d["state"] for d in found] == ["waiting"]
    assert (await store.queries.counts())["events"]["total"] == 2  # the first has the payload of both


@pytest.mark.parametrize("wake_at", [None, NOW + 10**9])
async def test_events_are_pruned_while_groups_and_storms_are_on_record(store: AnyStore, wake_at: float | None) -> None:
    for number in (1, 2, 3):
        await store.accept(submission(number))
    group = Group(id="noc|{}", room="noc", lineage="{}", labels={}, wake_at=wake_at, flushed_at=NOW + 10**9)
    storm = msgspec.structs.replace(open_storm("noc", NOW, seq=2), wake_at=wake_at, flushed_at=NOW + 10**9)
    await store.commit_plan(Plan(3, groups={group.id: group}, storms={storm.id: storm}), NOW)
    while await store.prune(Limits(done=60, dead=120, size=2**30), NOW + 61):
        pass
    # what the storm may speak of again is its last event; a group speaks of its incidents alone
    assert (await store.queries.counts())["events"]["total"] == 1


async def test_what_is_dead_goes_in_its_own_time_though_what_is_done_is_kept_longer(store: AnyStore) -> None:
    await store.accept(submission(1))
    await plan_all(store)
    (head,) = await lease(store)
    await store.exchange([done(head, state="dead", remote_id=None, reason="refused")], {}, {}, NOW)
    limits = Limits(done=10**6, dead=60, size=2**30)
    assert not await store.prune(limits, NOW + 59)
    assert await store.prune(limits, NOW + 61)
    assert (await store.queries.counts())["deliveries"] == {}


async def test_a_sweep_over_many_rows_comes_to_its_end_and_begins_anew(store: AnyStore) -> None:
    for first in range(0, 1_200, 100):
        await store.accept(submission(*range(first, first + 100)))
    await plan_all(store)
    heads = await lease(store)
    for _ in range(1_100):
        heads = list(await store.exchange([done(heads[0])], {"noc": "noc"}, {}, NOW))
    limits = Limits(done=60, dead=120, size=2**30)
    slices = 0
    while await store.prune(limits, NOW + 61):
        slices += 1
    assert slices >= 2
    counts = await store.queries.counts()
    assert counts["deliveries"] == {"leased": 1, "waiting": 99}
    assert counts["events"]["total"] == 100


async def test_a_key_outlives_its_payload(opening: Opening) -> None:
    async with opening.store() as store:
        await store.accept(submission(1, key="k", payload=b"x" * 5_000))
        await plan_all(store)
        (head,) = await lease(store)
        await store.exchange([done(head)], {}, {}, NOW)
        while await store.prune(Limits(done=60, dead=60, size=2**30), NOW + 61):
            pass
        assert await store.accept(submission(2, key="k", payload=b"x" * 5_000)) == Accepted(
            (event(1).id,), duplicate=True
        )
    assert opening.rows("SELECT count(*) FROM events") == [(0,)]
    assert opening.rows("SELECT key FROM request_keys") == [("k",)]


async def test_a_room_that_is_gone_makes_dead_deliveries_and_none_waits_for_a_clock_that_was_wrong(
    store: AnyStore,
) -> None:
    await store.accept(submission(1))
    await plan_all(store, "old")
    await store.accept(submission(2))
    await plan_all(store, "noc")
    (head,) = await lease(store, "noc")
    later = done(head, state="waiting", remote_id=None, due_at=NOW + 10**8, reason="remote")
    await store.exchange([later], {}, {}, NOW)
    assert await store.recover(start()) == Recovered([], ["old"])
    found = {d["room"]: d for d in msgspec.json.decode(await store.queries.list_deliveries())}
    assert (found["old"]["state"], found["old"]["reason"]) == ("dead", "unknown_room")
    (head,) = await lease(store, "noc")
    assert head.due_at == NOW + 3_600


async def test_a_payload_stays_as_long_as_any_event_of_its_request(store: AnyStore) -> None:
    await store.accept(submission(1, 2, 3, payload=b'{"n": 123}'))
    await plan_all(store)
    heads = await lease(store)
    for _ in range(2):
        heads = list(await store.exchange([done(heads[0])], {"noc": "noc"}, {}, NOW))
    while await store.prune(Limits(done=60, dead=60, size=2**30), NOW + 61):
        pass
    assert msgspec.json.decode(await store.queries.show_event(event(2).id)) is None
    assert msgspec.json.decode(await store.queries.show_event(event(3).id))["payload"] == '{"n": 123}'
    await store.exchange([done(heads[0])], {}, {}, NOW)
    while await store.prune(Limits(done=60, dead=60, size=2**30), NOW + 61):
        pass
    assert (await store.queries.counts())["events"]["total"] == 0


@pytest.mark.parametrize("name", sorted(statements("relay.storage.sqlite")))
def test_both_databases_have_each_statement(name: str) -> None:
    assert name in statements("relay.storage.postgres") or name in OF_ONE_PROCESS


async def test_a_server_can_prepare_each_statement(server: Server) -> None:
    address = server.new_database()
    async with connected(address):  # it makes the schema
        with psycopg.connect(address, autocommit=True) as connection:
            for sql in prepared().values():
                connection.execute(f"PREPARE it AS {numbered(sql)}")
                connection.execute("DEALLOCATE it")


def numbered(sql: str) -> str:
    """Return a statement with the server's own placeholders: `$1` for `%s`, and the same number for the same name."""
    numbers: dict[str, int] = {}

    def placed(found: re.Match[str]) -> str:
        return f"${numbers.setdefault(found[1] or str(len(numbers)), len(numbers) + 1)}"

    return re.sub(r"%(?:\((\w+)\))?[sb]", placed, sql)


async def test_relays_that_start_together_make_one_schema(server: Server) -> None:
    address = server.new_database()
    connections = [psycopg.connect(address, autocommit=True) for _ in range(4)]
    async with asyncio.TaskGroup() as tasks:
        for connection in connections:
            tasks.create_task(asyncio.to_thread(migrate, connection))
    for connection in connections:
        connection.close()
    async with connected(address) as store:
        assert await store.waiting_events(10, NOW) == []


async def test_a_newer_schema_and_another_programs_tables_are_refused(server: Server) -> None:
    newer, other = server.new_database(), server.new_database()
    async with connected(newer):
        with psycopg.connect(newer, autocommit=True) as connection:
            connection.execute("UPDATE meta SET value = 999 WHERE name = 'schema'")
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("CREATE TABLE events (name text)")
    with psycopg.connect(server.address, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
    guest = server.new_database().replace("user=postgres", "user=guest")
    for address, error, said in (
        (guest, StoreUnavailableError, "permission denied"),
        (newer, StoreNewerError, "schema 999"),
        (other, StoreCorruptError, "another program"),
        ("host=/nowhere", StoreUnavailableError, "can't be used"),
    ):
        with pytest.raises(error, match=said):
            PostgresStore(address)


async def test_a_server_that_is_gone_is_told_and_loses_nothing() -> None:
    with postgres(fsync="on") as own:
        async with connected(own.address) as store:
            await store.accept(submission(1))
            own.stop()
            with pytest.raises(StoreUnavailableError, match="can't be used"):
                await store.accept(submission(2))
            assert store.trouble is not None
        own.start()
        async with connected(own.address) as store:
            assert [w.event.title for w in await store.waiting_events(10, NOW)] == ["event 1"]


async def fill(store: SqliteStore) -> int:
    """Accept events until the store is full; how many it took."""
    for number in range(10_000):
        try:
            await store.accept(submission(number, payload=b"x" * 4_000))
        except StoreUnavailableError as error:
            return number if error.full else -1
    raise AssertionError("the store never filled")


async def test_a_full_store_refuses_events_still_records_and_recovers_when_there_is_room(tmp_path: Path) -> None:
    size = 600 * 4096
    async with opened(tmp_path, size) as store:
        accepted = await fill(store)
        assert accepted > 50
        assert store.trouble
        assert not await store.has_plenty()
        await plan_all(store)
        heads = await lease(store)
        while heads and heads[0].lease is not None:
            heads = list(await store.exchange([done(heads[0])], {"noc": "noc"}, {}, NOW))
        limits = Limits(done=10**6, dead=10**6, size=size)
        while await store.prune(limits, NOW + 1):
            pass
        assert await store.make_room()
        assert await store.has_plenty()
        assert isinstance(await store.accept(submission(20_000)), Accepted)


async def test_a_lock_that_is_held_for_a_moment_is_waited_out(tmp_path: Path) -> None:
    held = lock(tmp_path / "relay.db")
    threading.Timer(0.1, os.close, [held]).start()
    async with opened(tmp_path) as store:
        assert await store.waiting_events(1, NOW) == []


async def test_a_second_relay_on_one_file_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(StoreInUseError, match="in use by another relay"):
            SqliteStore(tmp_path / "relay.db", None)


def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    file.write_bytes(b"this is no database at all" * 100)
    before = file.read_bytes()
    with pytest.raises(StoreCorruptError, match="damaged"):
        open_database(file)
    assert file.read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    open_database(tmp_path / "relay.db").close()
    with sqlite3.connect(tmp_path / "relay.db") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StoreNewerError, match="newer relay"):
        open_database(tmp_path / "relay.db")


def test_a_foreign_database_and_a_directory_are_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    with pytest.raises(StoreCorruptError, match="another program"):
        open_database(tmp_path / "other.db")
    with pytest.raises(StoreUnavailableError, match="is a directory"):
        open_database(tmp_path)
    with pytest.raises(StoreUnavailableError, match="does not exist"):
        open_database(tmp_path / "none" / "relay.db")


def test_a_database_of_the_first_schema_is_carried_over(tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    old = sqlite3.connect(file)
    old.executescript(f"{migrations()[0]} PRAGMA user_version = 1; PRAGMA application_id = {APPLICATION_ID};")
    for seq, suppressed in ((1, None), (2, "muted")):
        old.execute(
            "INSERT INTO events VALUES (?, ?, 'lab', 'k', 5.0, '{}', ?, ?, x'7b7d', ?, NULL)",
            (seq, f"e{seq}", seq, seq, suppressed),
        )
    for number, ended_at in ((1, None), (2, 7.0)):
        row = (number, f"k{number}", ended_at)
        old.execute("INSERT INTO incidents VALUES (?, 'lab', ?, 'noc', NULL, 1, 1, 1, 1, '{}', 5.0, ?, 9.0)", row)
    old.commit()
    old.close()
    connection = open_database(file)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(migrations()),)
    reasons = "SELECT id, suppressed FROM events ORDER BY seq"
    assert connection.execute(reasons).fetchall() == [("e1", None), ("e2", "muted")]
    connection.execute("UPDATE events SET suppressed = 'unrouted' WHERE seq = 1")
    with pytest.raises(NOT_UNIQUE):
        connection.execute("UPDATE events SET suppressed = 'no reason' WHERE seq = 1")
    times = "SELECT incident ->> '$.opened_at', incident ->> '$.over_at' FROM incidents ORDER BY id"
    assert connection.execute(times).fetchall() == [(5.0, 0.0), (5.0, 7.0)]
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
