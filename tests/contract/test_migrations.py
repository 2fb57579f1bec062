"""Databases of earlier releases are carried over, whole, whenever the process is killed meanwhile."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relay.ports import StoreNewerError
from relay.storage.sqlite.database import migrations, open_database
from relay.storage.sqlite.store import SqliteStore

DUMPS = sorted((Path(__file__).parents[1] / "golden" / "databases").glob("schema-*.sql"))
"""Databases as an earlier release wrote them, with every kind of row in them."""

KILLED_AT_EACH_STATEMENT = """
import os, shutil, signal, sys
from pathlib import Path
from typing import Any
from relay.storage.sqlite import database

folder, before = Path(sys.argv[1]), Path(sys.argv[2])
connect, number = database.connect, 0
while True:
    number += 1
    file = folder / f"killed-{number}.db"
    shutil.copy(before, file)
    child = os.fork()
    if child == 0:
        left = number
        def at_each_statement(_):
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        def watched(path, **options):
            connection = connect(path, **options)
            connection.set_trace_callback(at_each_statement)
            return connection
        database.connect = watched
        database.open_database(file).close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
print(number)
"""


def version_of(dump: Path) -> int:
    return int(dump.stem.rpartition("-")[2])


def restore(dump: Path, file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.executescript(dump.read_text(encoding="utf-8"))
    connection.close()


def contents(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    connection = sqlite3.connect(file)
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in tables}  # noqa: S608 - our own tables
    finally:
        connection.close()


def rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_a_database_is_carried_over_by_each_migration_that_changes_rows() -> None:
    oldest = min(map(version_of, DUMPS))
    assert any(re.search(r"^UPDATE (?!sqlite_schema)", script, re.MULTILINE) for script in migrations()[oldest:])
    assert oldest <= 4, "schema 4 is the first that somebody may have"


@pytest.mark.parametrize("table", ["events", "alerts", "messages", "incidents", "groups", "deliveries"])
def test_no_check_makes_a_table_for_each_row(table: str, tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    open_database(file).close()
    columns = [name for _, name, *_ in rows(file, f"PRAGMA table_info({table})")]
    values = ", ".join("NULL" if name == "suppressed" else "1" for name in columns)
    steps = rows(file, f"EXPLAIN INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})")  # noqa: S608 - our own names
    assert "OpenEphemeral" not in {operation for _, operation, *_ in steps}


def test_the_checks_refuse_what_they_refused() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for script in migrations():
        connection.executescript(f"BEGIN;\n{script}\nCOMMIT;")
    for column, sql in (
        ("suppressed", "UPDATE events SET suppressed = :word"),
        ("state", "UPDATE alerts SET state = :word"),
        ("kind", "UPDATE messages SET kind = :word"),
        ("action", "UPDATE deliveries SET action = :word"),
        ("state", "UPDATE deliveries SET state = :word, settled_at = 1"),
    ):
        connection.executescript(
            "DELETE FROM deliveries; DELETE FROM messages; DELETE FROM events; DELETE FROM alerts;"
        )
        connection.executescript(
            "INSERT INTO events (seq, id, source, received_at, event, first_seq, last_seq, payload)"
            " VALUES (1, 'e', 's', 1.0, '{}', 1, 1, x'00');"
            "INSERT INTO alerts (source, key, alert, updated_at, state) VALUES ('s', 'k', '{}', 1.0, 'firing');"
            "INSERT INTO messages (id, room, route) VALUES (1, 'noc', '');"
            "INSERT INTO deliveries (id, message, event_seq, room, action, state, rank, position, created_at, due_at)"
            " VALUES (1, 1, 1, 'noc', 'post', 'waiting', 0, 1, 1.0, 1.0);"
        )
        with pytest.raises(sqlite3.IntegrityError, match=f"CHECK constraint failed: .*{column} = "):
            connection.execute(sql, {"word": "unheard"})


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_a_message_is_of_the_kind_that_its_group_was_named_for(dump: Path, tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    restore(dump, file)
    old = {number: (name, living) for number, name, living in rows(file, "SELECT id, grp, living FROM messages")}
    open_database(file).close()
    found = rows(file, "SELECT id, kind, lineage, grp, labels, about FROM messages")
    assert {kind for _, kind, *_ in found} == {"living", "notice", "digest", "note"}
    for number, kind, lineage, group, labels, about in found:
        name, living = old[number]
        place, _, grouped = name.partition("\n")
        word, _, rest = place.partition(" ")
        assert kind == {"diversion": "note", "storm": "digest"}.get(word, "living" if living else "notice")
        assert about == (int(rest) if kind == "note" else None)
        assert lineage == (place.partition("|")[2] if kind in ("living", "notice") else "")
        assert group == (name if kind == "digest" or (kind == "living" and grouped) else None)
        told = dict(json.loads(grouped)) if grouped and kind == "living" else {}
        assert json.loads(labels or "{}") == told


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_an_incident_keeps_its_group_and_all_else_is_as_it_was(dump: Path, tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    restore(dump, file)
    groups = dict(rows(file, "SELECT id, incident ->> '$.group' FROM incidents"))
    names = ", ".join(name for _, name, *_ in rows(file, "PRAGMA table_info(deliveries)"))
    every = f"SELECT {names} FROM deliveries ORDER BY id"  # noqa: S608 - our own names
    deliveries = rows(file, every)
    open_database(file).close()
    for number, incident in rows(file, "SELECT id, incident FROM incidents"):
        one = json.loads(incident)
        place, _, grouped = groups[number].partition("\n")
        stormy = place.startswith("storm ")
        assert one.get("storm") == (groups[number] if stormy else None)
        assert one["lineage"] == ("" if stormy else place.partition("|")[2])
        assert one.get("labels") == (dict(json.loads(grouped)) if grouped and not stormy else None)
        assert "group" not in one
    assert rows(file, every) == deliveries
    assert rows(file, "PRAGMA integrity_check") == [("ok",)]
    assert rows(file, "PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_an_incident_shows_what_it_said(dump: Path, tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    restore(dump, file)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE incidents SET incident = json_set(incident, '$.said', NULL) WHERE id = 1")
    connection.commit()
    connection.close()
    found = rows(file, "SELECT id, incident FROM incidents")
    said = {number: json.loads(incident)["said"] for number, incident in found}
    open_database(file).close()
    for number, incident in rows(file, "SELECT id, incident FROM incidents"):
        one = json.loads(incident)
        before = said[number]
        assert (before is None) == (number == 1)
        assert "said" not in one
        assert one["shown"] == (
            None if before is None else {**{k: v for k, v in before.items() if k != "aloud"}, "rang": before["aloud"]}
        )


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
async def test_what_is_carried_over_is_read_as_what_it_was(dump: Path, tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    restore(dump, file)
    store = SqliteStore(file, None)
    try:
        keys = await store.open_keys(("", ""), 1_000)
        known = await store.known(keys)
        incidents = [one for rooms in known.incidents.values() for one in rooms.values()]
        assert {one.grouped for one in incidents} == {True, False}
        assert any(one.storm is not None for one in incidents)
        assert any(one.labels for one in incidents)
        groups = await store.due_groups(float("inf"), 1_000)
        assert groups
        assert all(one.lineage in one.group_id for members in groups for one in members.incidents if one.group_id)
    finally:
        await store.close()


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_a_kill_at_any_statement_leaves_the_database_as_before_or_as_after(dump: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    restore(dump, before)
    restore(dump, after)
    open_database(after).close()
    said = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EACH_STATEMENT, str(tmp_path), str(before)],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    statements = int(said.stdout)
    assert statements > 20
    whole = {version_of(dump): contents(before), len(migrations()): contents(after)}
    versions = set()
    for number in range(1, statements):
        file = tmp_path / f"killed-{number}.db"
        ((version,),) = rows(file, "PRAGMA user_version")
        versions.add(version)
        if version in whole:
            assert contents(file) == whole[version], f"killed at statement {number}"
        open_database(file).close()
        assert contents(file) == whole[len(migrations())], f"killed at statement {number}, and started again"
    assert version_of(dump) in versions


def test_an_older_relay_refuses_a_newer_database(tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    open_database(file).close()
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    connection.close()
    with pytest.raises(StoreNewerError, match="written by a newer relay"):
        open_database(file)
