"""Whatever a room reads agrees with its alerts at the moment of sending: headers, signs, counts, lines and replies.

Random histories of flapping groups, updates without a body, acknowledgements given and withdrawn, silences, an alert
that inhibits others, bursts that become storms, restarts, outages behind which replies wait, and a room that goes to a
fallback. A witness looks at each message as the room takes it.
"""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

from relay.core.event import RANK, Draft, Status
from relay.core.phrases import ENDS, LATE_AFTER, SIGNS
from relay.core.suppression import Silence
from relay.ports import Send
from tests.fakes.simulated import ManualClock, Room, Simulated, Standing

KEYS = ("b0", "b1", "b2", "b3", "c0", "c1")
BODY = "Call the provider; the number is in the runbook."
SETTINGS: dict[str, Any] = {
    "accounts": {"webex": {"type": "webex", "token": "none"}},
    "rooms": {
        "noc": {"account": "webex", "id": "a", "digest_over": 5},
        "backup": {"account": "webex", "id": "b"},
    },
    "sources": {"lab": {"type": "webhook"}},
    "inhibit_rules": [{"source_matchers": ["key=b3", "severity=critical"], "target_matchers": ["key=b0"]}],
    "route": {
        "rooms": ["noc"],
        "repeat_interval": "10m",
        "reopen_within": "10m",
        "routes": [
            {"matchers": ["site=ams"], "group_by": ["site"], "group_wait": "5s", "group_interval": "20s"},
            {
                "matchers": ["site=fra"],
                "group_by": ["site"],
                "group_wait": "5s",
                "group_interval": "20s",
                "mention": ["anna@example.net"],
            },
        ],
    },
}
WITH_FALLBACK = {**SETTINGS, "rooms": {**SETTINGS["rooms"], "noc": {**SETTINGS["rooms"]["noc"], "fallback": "backup"}}}
SITES = {"b0": "ams", "b1": "ams", "b2": "ams", "c0": "fra", "c1": "fra"}
LATE = re.compile(r" · posted .+ late$")
SLACK = 3.0
"""Seconds between the choice of a text and the moment at which the room takes it."""
FIRE = {"again", "alarm", "worsened", "silence over", "held back", "reminder"}
"""Kinds of replies that say that alerts fire and are not held back."""


def sign_of(one: dict[str, Any]) -> str:
    """The sign of an alert, by its state on record."""
    if one["over"]:
        return ENDS[one["state"]]
    silenced = one["state"] == "firing" and (one["held"] or {}).get("reason") == "silenced"
    return "🔕" if silenced else SIGNS[one["event"]["severity"]]


def sign_of_all(found: list[dict[str, Any]]) -> str:
    """The sign of a message about several alerts."""
    fires = [one for one in found if not one["over"]]
    if not fires:
        return "⌛" if all(one["state"] == "expired" for one in found) else "✅"
    if all(sign_of(one) == "🔕" for one in fires):
        return "🔕"
    return SIGNS[min((one["event"]["severity"] for one in fires), key=lambda severity: RANK[severity])]


class Witness(Room):
    """A room that compares each message with the alerts on record at that moment."""

    def __init__(self, clock: ManualClock, dice: Random, file: Path) -> None:
        super().__init__(clock, dice)
        self._file = file
        self.seen: list[str] = []
        """What kinds of messages were looked at."""
        self._ends: dict[tuple[Any, ...], int] = {}

    def _take(self, message: Send) -> Standing:
        self._look_at(message)
        return super()._take(message)

    def _look_at(self, message: Send) -> None:
        first = message.markdown.split("\n")[0].rstrip()
        delivery, found = self._on_record(int(message.delivery))
        if message.file is not None or first.startswith(("⏩", "↩")) or not found:
            return
        self._look_at_lateness(message.markdown, delivery)
        says = json.loads(delivery["says"]) if delivery["says"] else None
        if message.action == "reply" and says is not None:
            self._look_at_reply(delivery["id"], LATE.sub("", first), says, found)
        elif first.startswith("🌊"):
            self._look_at_digest(first, found)
        else:
            self._look_at_present(message.markdown, first, found)

    def _on_record(self, delivery: int) -> tuple[sqlite3.Row, list[dict[str, Any]]]:
        connection = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        try:
            row = connection.execute("SELECT * FROM deliveries WHERE id = ?", (delivery,)).fetchone()
            rows = connection.execute(
                "SELECT i.incident, i.over FROM messages AS m"
                " JOIN incidents AS i ON i.message = coalesce(m.tells, m.id) WHERE m.id = ? ORDER BY i.id",
                (row["message"],),
            ).fetchall()
        finally:
            connection.close()
        found = ({**json.loads(incident), "over": bool(over)} for incident, over in rows)
        return row, list({one["key"]: one for one in found}.values())

    def _look_at_lateness(self, text: str, delivery: sqlite3.Row) -> None:
        behind = self._clock.now() - delivery["created_at"]
        late = re.search(r" · posted .+ late *$", text, re.MULTILINE) is not None
        if late:
            self.seen.append("late")
        assert not (late and behind < LATE_AFTER), (text, behind)
        assert late or behind < LATE_AFTER + SLACK, (text, behind)

    def _look_at_present(self, text: str, first: str, found: list[dict[str, Any]]) -> None:
        firing, ended = sum(not one["over"] for one in found), sum(one["over"] for one in found)
        if len(found) == 1:
            self.seen.append("single")
            assert first[0] == sign_of(found[0]), (first, found)
        elif firing:
            self.seen.append("group")
            assert f"**{firing} firing" + (f", {ended} ended**" if ended else "**") in first, (first, found)
            assert first[0] == sign_of_all(found), (first, found)
        else:
            self.seen.append("all ended")
            assert first.startswith(f"{sign_of_all(found)} **all {ended} "), (first, found)
        self._look_at_lines(text, found)
        assert BODY in text or not all(one["key"] in KEYS for one in found), text  # no update takes it away

    def _look_at_lines(self, text: str, found: list[dict[str, Any]]) -> None:
        lines = [line[2:] for line in text.split("\n") if line.startswith("- ") and " more" not in line]
        assert len(lines) == (0 if len(found) == 1 else len(found)), text
        shown = sorted((match[0], line[0], "👤" in line) for line in lines if (match := re.search(r"\b[bc]\d\b", line)))
        if lines:
            assert shown == sorted((one["key"], sign_of(one), one["ack"] is not None) for one in found), (text, found)

    def _look_at_digest(self, first: str, found: list[dict[str, Any]]) -> None:
        self.seen.append("digest")
        firing, ended = sum(not one["over"] for one in found), sum(one["over"] for one in found)
        assert ("all have ended" in first) == (ended > 0 and firing == 0), (first, found)
        assert (f" {firing} still firing" in first) == (ended > 0 and firing > 0), (first, found)

    def _look_at_reply(self, delivery: int, first: str, says: dict[str, Any], found: list[dict[str, Any]]) -> None:
        kind = says["kind"]
        self.seen.append(kind)
        mine = [one for one in found if [one["source"], one["key"]] in says["alerts"]] or found
        mine.sort(key=lambda one: (one["state"] != "firing", one["held"] is not None, one["ack"] is not None))
        if kind in ("all ended", "storm ended"):
            assert all(one["over"] for one in found), (first, found)
            assert kind != "all ended" or f"all {len(found)} " in first, (first, found)
        elif kind == "ended":
            assert all(one["over"] for one in mine), (first, found)
        elif kind in ("flapping", "flaps no more"):
            assert all(one["quiet"] == (kind == "flapping") for one in mine), (first, found)
        elif kind in FIRE:
            named = [one for one in mine if one["key"] in first] or mine[:1]
            for one in named:
                assert one["state"] == "firing", (first, one)
                assert one["held"] is None, (first, one)
                assert kind != "reminder" or one["ack"] is None, (first, one)
            worst = min((one["event"]["severity"] for one in named), key=lambda severity: RANK[severity])
            assert first.startswith(SIGNS[worst]), (first, found)
        if kind in ("ended", "all ended"):
            self._look_for_twins(delivery, mine)

    def _look_for_twins(self, delivery: int, mine: list[dict[str, Any]]) -> None:
        """An end is told once. To be told again, the alerts must have fired in between."""
        end = tuple(sorted((one["key"], one["message"], one["ended_at"]) for one in mine))
        assert self._ends.setdefault(end, delivery) == delivery, mine


class History:
    """A relay to which things happen at random."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = Random(seed)  # noqa: S311 - seeded, so that a history can be repeated
        self.clock = ManualClock()
        self.room, self.backup = (Witness(self.clock, self.dice, folder / "relay.db") for _ in range(2))
        self.firing: set[str] = set()
        self._numbers = itertools.count()
        self._folder, self._settings = folder, WITH_FALLBACK if seed % 2 else SETTINGS

    async def start(self) -> None:
        """Start the relay, or another process of it."""
        self.relay = Simulated(self._folder, self.clock, self.room, self.dice, self._settings, self.backup)
        await self.relay.start()

    async def step(self) -> None:
        """Something happens to the alerts, to the room or to the relay, or only time goes by."""
        acts = {
            self._event: 45,
            self._acknowledge: 7,
            self._unacknowledge: 5,
            self._silence: 5,
            self._outage: 7,
            self._refusal: 1,
            self._restart: 1,
            self._burst: 1,
            self._time: 28,
        }
        (act,) = self.dice.choices(list(acts), list(acts.values()))
        await act(self.dice.choice(KEYS))
        await self.relay.turn()
        await self._compare_lists()

    async def _compare_lists(self) -> None:
        """The incidents, Alertmanager's API and the counts have the same alerts."""
        queries = self.relay.store.queries
        incidents = {one["key"] for one in json.loads(await queries.list_incidents())}
        assert incidents == {alert.key for alert in await queries.open_alerts()}
        assert (await queries.counts())["alerts"]["open"] == len(incidents)

    async def _event(self, key: str) -> None:
        resolved = key in self.firing and self.dice.random() < 0.6
        again = resolved or key in self.firing
        (self.firing.discard if resolved else self.firing.add)(key)
        body = BODY if self.dice.random() < 0.4 or not again else ""
        labels = {"site": SITES[key]} if key in SITES else {}
        severity = self.dice.choice(("critical", "major", "minor"))
        status: Status = "resolved" if resolved else "firing"
        await self.relay.post(
            [Draft(title=f"{key} down", status=status, key=key, labels=labels, severity=severity, body=body)]
        )

    async def _acknowledge(self, key: str) -> None:
        await self.relay.intake.acknowledge(("lab", key), "anna", "")

    async def _unacknowledge(self, key: str) -> None:
        await self.relay.intake.unacknowledge(("lab", key), "anna", "")

    async def _silence(self, key: str) -> None:
        silence = Silence(
            id=f"s{next(self._numbers)}",
            matchers=(f"key={key}",),
            starts_at=self.clock.time,
            ends_at=self.clock.time + self.dice.uniform(5.0, 120.0),
            created_by="anna",
            comment="work",
            updated_at=self.clock.time,
        )
        await self.relay.planner.vigil.put([silence])

    async def _outage(self, _: str) -> None:
        self.room.down = not self.room.down

    async def _refusal(self, _: str) -> None:
        self.room.refused = "fallback" in self._settings["rooms"]["noc"] and not self.room.refused

    async def _restart(self, _: str) -> None:
        await self.relay.stop()
        await self.start()

    async def _burst(self, _: str) -> None:
        keys = [f"x{next(self._numbers)}" for _ in range(12)]
        statuses: tuple[Status, ...] = ("firing", "resolved")
        for status in statuses:
            await self.relay.post([Draft(title="line down", status=status, key=key, severity="major") for key in keys])
            for _second in range(self.dice.randrange(1, 40)):
                await self.relay.turn()
                self.clock.time += 1.0

    async def _time(self, _: str) -> None:
        self.clock.time += self.dice.choice((1.0, 5.0, 20.0, 60.0, 300.0, 700.0))


async def play(folder: Path, seed: int, steps: int) -> list[str]:
    """Play one history; return which kinds of messages the witnesses have seen."""
    history = History(folder, seed)
    await history.start()
    for _ in range(steps):
        await history.step()
    history.room.down = history.room.refused = False
    await history.relay.settle(60.0)
    await history.relay.stop()
    return history.room.seen + [f"{kind} in the fallback" for kind in history.backup.seen]


async def test_what_a_room_reads_is_true_when_it_is_sent(tmp_path: Path) -> None:
    seen: set[str] = set()
    for seed in range(6):
        folder = tmp_path / str(seed)
        folder.mkdir()
        seen.update(await play(folder, seed, steps=250))
    assert seen >= {"group", "all ended", "single", "alarm", "flapping", "ended", "again", "digest", "late", "reminder"}
    assert seen >= {"group in the fallback", "single in the fallback"}
