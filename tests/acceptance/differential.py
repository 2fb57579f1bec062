"""The relay's decisions beside those of Debian's Alertmanager: `python -m tests.acceptance.differential`.

Random cases of routing (trees with many equal siblings among them), group waits and intervals, silences, inhibition,
time intervals and batches of alerts, and of the texts that matchers and intervals are written as, are decided by both;
`amtool` and `prometheus-alertmanager` (0.25) must be installed. Prints how many were decided alike and the first that
were not, and ends with 1 where a difference is not an intended one.

Alertmanager decides about time intervals at the present moment alone, and its clock can't be set (a Go program does not
read it through libc). So half of the intervals are asked about the present in true time zones, and half about any
moment at all, by time zones made for it (`ZONEINFO`) whose offset is the way from now to there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from socket import create_server
from threading import Event as Flag
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from relay.app.assembly.reading import make_format
from relay.core.alert import Alert
from relay.core.matching import EVENT_NAMES, BadMatcherError, compile_re2, make_matcher, parse_matchers, view_of
from relay.core.routing import resolve
from relay.core.rules import Rules
from relay.core.silencing import BadSilenceError, Wish, expire, make_silence
from relay.core.suppression import Silence, Suppressor
from relay.core.times import MONTHS, WEEKDAYS
from relay.formats import FORMATS, Request
from relay.formats.batch import read_payload
from relay.lifecycle import SystemClock
from relay.settings.load import load
from relay.settings.problems import ConfigurationError
from relay.settings.rules import compile_rules
from relay.settings.sources import AlertmanagerApiSettings
from tests.acceptance import timers
from tests.fakes.made import event

Labels = dict[str, str]
Comparison = tuple[str, str, str]
"""A matcher's name, operator and value."""
Tree = dict[str, Any]

SETS = 5
"""Label sets that each routing tree is asked about."""
SILENCES, SILENCED = 300, 60
INHIBITIONS = 300
INTERVALS = 400
BATCHES = 100
MATCHER_TEXTS, INTERVAL_TEXTS = 500, 600
SHOWN = 20
PATIENCE = 60.0
WORKERS = 2

NAMES = ("a", "b", "c", "d")
VALUES = ("a", "a", "b", "b", "ab", "c", "1", "", "x y", "é", 'q"q', "a\nb", "a.b", "b\\d", "A", "a,b", "{a}")
FEW = ("a", "a", "b", "ab", "")
"""Values of few kinds, so that several alerts have the same."""
PATTERNS = (
    *("a|b", ".*", ".+", "a.*", "", "|a", "b|", "[ab]+", "a?", "(?i)a|B", "(a|b)|c", "^a$", "a$", "\\w+", "a\\.b"),
    *(".*b", "\\d", "x y", "(?s).*", "[^a]*", "a.b", "é|è", '.*".*', "a|ab", "(?:a|b)b?", "\\pL", "a{1,2}", "b\\\\d"),
)
EQUAL: tuple[list[str], ...] = ([], ['a="a"'], ['a="a"'])
"""Matchers that many siblings have."""
OPERATORS = ("=", "=", "=", "!=", "=~", "=~", "!~")
ROOMS = tuple(f"r{number}" for number in range(9))
ZONES = (
    *("UTC", "Europe/Amsterdam", "Europe/London", "America/New_York", "America/Los_Angeles", "America/St_Johns"),
    *("Asia/Kolkata", "Asia/Kathmandu", "Asia/Tokyo", "Asia/Tehran", "Australia/Lord_Howe", "Pacific/Chatham"),
    *("Pacific/Kiritimati", "Pacific/Pago_Pago", "Pacific/Auckland", "Etc/GMT+12", "Africa/Casablanca"),
)
CLOCK = SystemClock()


@dataclass(frozen=True)
class Intended:
    """A difference that is meant: in which kind of case, why, and how it is known from the case and both answers."""

    part: str
    reason: str
    applies: Callable[[Any, Any, Any], bool]


def _refused_bare(case: Any, ours: Any, theirs: Any) -> bool:
    """A bare value with characters that are reserved."""
    bare = re.match(r"""[^"]*?(=~|!~|!=|=)\s*[^"\s]""", case["text"]) is not None
    return bare and "refused" in ours and "refused" not in theirs and re.search(r'[\s{}"]', case["text"]) is not None


def _newer_name(case: Any, ours: Any, theirs: Any) -> bool:
    """A label's name of the kind that Alertmanager takes since 0.27."""
    if "refused" in ours or "refused" not in theirs:
        return False
    return not all(re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", one.name) for one in parse_matchers(case["text"]))


def _unbalanced(case: Any, ours: Any, theirs: Any) -> bool:
    """An expression like `)a(`, which is one only within the parentheses that Alertmanager puts around it."""
    found = re.search(r'^[^=!]*[=!]~\s*"?([^"]*)"?\s*$', case["text"])
    if found is None or "refused" not in ours or "refused" in theirs:
        return False
    try:
        compile_re2(found[1])
    except BadMatcherError:
        return True
    return False


def _no_month(case: Any, ours: Any, theirs: Any) -> bool:
    return theirs and not ours and re.search(r"\b(0|13)\b", str(case.get("months"))) is not None


def _blanks(case: Any, ours: Any, theirs: Any) -> bool:
    return ours and not theirs and " : " in str(case.get("weekdays"))


def _held_by_some_month(case: Any, ours: Any, theirs: Any) -> bool:
    """Days that a month of 31 days has, though Alertmanager holds that none has them."""
    found = re.fullmatch(r"(\d+):(-\d+)", str(case.get("days_of_month", [""])[0]))
    return ours and not theirs and found is not None and int(found[1]) <= 32 + int(found[2])


def _short_month(case: Any, _ours: Any, _theirs: Any) -> bool:
    """Days of a month in which clocks are put forward."""
    local, zone = case["local"], ZoneInfo(case["zone"])
    first = datetime(local.year, local.month, 1, tzinfo=zone)
    after = datetime(local.year + local.month // 12, local.month % 12 + 1, 1, tzinfo=zone)
    forward = (after.timestamp() - first.timestamp()) % 86_400 > 43_200
    return forward and "days_of_month" in json.dumps(case["intervals"])


INTENDED = (
    Intended(
        "routing",
        "the relay's matchers see source, status, severity, title, key and format beside the labels",
        lambda case, _ours, _theirs: not EVENT_NAMES.isdisjoint(case["labels"]),
    ),
    Intended(
        "time intervals",
        "Alertmanager's month has a day less where clocks are put forward in it (it divides hours by 24)",
        _short_month,
    ),
    Intended(
        "matcher texts",
        "the relay refuses blanks, braces and quotes in a bare value, as Alertmanager's strict UTF-8 mode does",
        _refused_bare,
    ),
    Intended("matcher texts", "the relay refuses an expression whose parentheses do not match", _unbalanced),
    Intended("matcher texts", "the relay takes the names of labels that Alertmanager takes since 0.27", _newer_name),
    Intended("interval texts", "the relay refuses months that are none, 0 and 13", _no_month),
    Intended("interval texts", "the relay takes blanks around the colon", _blanks),
    Intended(
        "interval texts",
        "the relay takes days like 28:-1, which long months have (Alertmanager counts a day too few)",
        _held_by_some_month,
    ),
    Intended(
        "interval texts",
        "Go's name for UTC may be empty; the relay asks for a name",
        lambda case, _ours, _theirs: case.get("location") == "",
    ),
    Intended(
        "interval texts",
        "the relay asks for a zone by its name: `Local` would be another one after a move",
        lambda case, _ours, _theirs: case.get("location") == "Local",
    ),
    Intended(
        "interval texts",
        "the relay takes days like 20:-28, which no month has; they never hold",
        lambda case, ours, _theirs: bool(ours) and ":-" in str(case.get("days_of_month", "")),
    ),
)


@dataclass
class Part:
    """What came of one kind of case."""

    name: str
    same: int = 0
    intended: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    remark: str = ""

    def compare(self, case: Any, ours: Any, theirs: Any) -> None:
        """Count a case that both have decided."""
        if ours == theirs:
            self.same += 1
            return
        meant = next((one for one in INTENDED if one.part == self.name and one.applies(case, ours, theirs)), None)
        if meant is not None:
            self.intended[meant.reason] = self.intended.get(meant.reason, 0) + 1
            return
        told = {"relay": ours, "alertmanager": theirs, "case": case}
        self.differences.append(json.dumps(told, ensure_ascii=False, default=str))

    @property
    def cases(self) -> int:
        """How many were decided."""
        return self.same + sum(self.intended.values()) + len(self.differences)


def wait_for(what: str, check: Callable[[], bool]) -> None:
    """Look again and again until something is so. Raises `TimeoutError`."""
    deadline, flag = CLOCK.now() + PATIENCE, Flag()
    while not check():
        if CLOCK.now() > deadline:
            raise TimeoutError(what)
        flag.wait(0.02)


# What is asked, in words that both understand


def some_labels(dice: Random, values: Sequence[str] = VALUES) -> Labels:
    """Labels of an alert, now and then an empty one."""
    return {name: dice.choice(values) for name in NAMES if dice.random() < 0.7}


def some_comparison(dice: Random, values: Sequence[str] = VALUES) -> Comparison:
    """A matcher of any operator."""
    op = dice.choice(OPERATORS)
    return dice.choice((*NAMES, "z")), op, dice.choice(PATTERNS if "~" in op else values)


def quoted(value: str) -> str:
    """A value between quotes, every character that needs it escaped."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def spelled(one: Comparison, dice: Random) -> str:
    """One of the ways to write a matcher."""
    name, op, value = one
    blank = dice.choice(("", "", " "))
    bare = re.fullmatch(r"[A-Za-z0-9.|*+]*", value) is not None and dice.random() < 0.3
    return f"{name}{blank}{op}{blank}{value if bare else quoted(value)}"


def listed(comparisons: Sequence[Comparison], dice: Random) -> list[str]:
    """One of the ways to write several matchers: each for itself, or in one text, with or without braces."""
    texts = [spelled(one, dice) for one in comparisons]
    if not texts or dice.random() < 0.7:
        return texts
    joined = dice.choice((",", ", ")).join(texts)
    return [dice.choice((joined, f"{{{joined}}}"))]


def some_matchers(
    dice: Random, values: Sequence[str] = VALUES, weights: tuple[int, ...] = (15, 55, 25, 5)
) -> list[str]:
    """Matchers of a route or a rule, as texts."""
    (count,) = dice.choices(range(len(weights)), weights)
    return listed([some_comparison(dice, values) for _ in range(count)], dice)


def some_route(dice: Random, depth: int) -> Tree:
    """A node of a tree and all below it."""
    node: Tree = {"matchers": some_matchers(dice) if dice.random() < 0.7 else dice.choice(EQUAL)}
    if dice.random() < 0.8:
        node["receiver"] = dice.choice(ROOMS)
    if dice.random() < 0.4:
        node["continue"] = True
    if depth < 4 and dice.random() < 0.7 - 0.15 * depth:
        node["routes"] = [some_route(dice, depth + 1) for _ in range(dice.randint(1, 5))]
    return node


def some_tree(dice: Random) -> Tree:
    """A whole tree; one of eight has a long list of children that mostly ask for one label's value."""
    root: Tree = {"receiver": "r0"}
    if dice.random() < 7 / 8:
        root["routes"] = [some_route(dice, 1) for _ in range(dice.randint(1, 5))]
        return root
    root["routes"] = []
    for _ in range(dice.randint(8, 14)):
        child = some_route(dice, 3)
        if dice.random() < 0.8:
            child["matchers"] = [spelled(("a", "=", dice.choice(VALUES)), dice), *child["matchers"][:1]]
        root["routes"].append(child)
    return root


def as_relay(node: Tree) -> Tree:
    """A tree with rooms in place of receivers."""
    ours = {name: value for name, value in node.items() if name not in ("receiver", "routes")}
    if "receiver" in node:
        ours["rooms"] = [node["receiver"]]
    return ours | {"routes": [as_relay(child) for child in node.get("routes", ())]}


# The two sides


def relay_rules(folder: Path, name: str, tree: Tree, **sections: Any) -> Rules:
    """The relay's rules for a tree in Alertmanager's words. Raises `ConfigurationError`."""
    file = folder / f"{name}.relay.yaml"
    written = {
        "accounts": {"webex": {"type": "webex", "token": "none"}},
        "rooms": {room: {"account": "webex", "id": room} for room in ROOMS},
        "route": as_relay(tree),
        **sections,
    }
    file.write_text(yaml.safe_dump(written, allow_unicode=True))
    return compile_rules(load(file, FORMATS).settings)


def alertmanager_file(folder: Path, name: str, tree: Tree, receivers: Any = None, **sections: Any) -> Path:
    """A configuration of Alertmanager's."""
    file = folder / f"{name}.alertmanager.yml"
    written = {"route": tree, "receivers": receivers or [{"name": room} for room in ROOMS], **sections}
    file.write_text(yaml.safe_dump(written, allow_unicode=True))
    return file


def ask_amtool(file: Path, labels: Labels) -> str:
    """The receivers that amtool names, or `refused`, or `crashed`."""
    command = ["amtool", "config", "routes", "test", f"--config.file={file}"]
    command += [f"{name}={quoted(value)}" for name, value in labels.items()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "Failed to parse labels" not in done.stderr, (labels, done.stderr)
    if "panic" in done.stderr:
        return "crashed"
    return "refused" if done.returncode else done.stdout.strip()


class Alertmanager:
    """A running one, on a free port of loopback."""

    def __init__(self, file: Path, **environment: str) -> None:
        with create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        self.log = file.with_suffix(".log")
        command = ["prometheus-alertmanager", f"--config.file={file}", f"--storage.path={file.with_suffix('.data')}"]
        command += [f"--web.listen-address=127.0.0.1:{self._port}", "--cluster.listen-address=", "--log.level=debug"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, **environment})

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request; the answer's status and what its JSON says."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode()
        finally:
            connection.close()

    def post(self, path: str, body: Any) -> Any:
        """Post what must be taken."""
        status, said = self.ask("POST", path, body)
        assert status == 200, said
        return said

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts that fire, each with what holds it."""
        _, found = self.ask("GET", "/api/v2/alerts?silenced=true&inhibited=true&active=true&unprocessed=true")
        return list(found)

    def ready(self) -> bool:
        """Return whether it answers."""
        assert self._process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", "/-/ready")[0] == 200
        except OSError:
            return False

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(PATIENCE)


@contextmanager
def alertmanager(file: Path, **environment: str) -> Iterator[Alertmanager]:
    """An Alertmanager that answers."""
    running = Alertmanager(file, **environment)
    try:
        wait_for("Alertmanager to answer", running.ready)
        yield running
    finally:
        running.stop()


def rfc3339(at: float) -> str:
    """A time as Alertmanager reads it."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def posted(labels: Labels, *, firing: bool = True, now: float) -> dict[str, Any]:
    """An alert as Alertmanager takes it."""
    ends_at = now + 3_600 if firing else now - 60
    return {"labels": labels, "startsAt": rfc3339(now - 7_200), "endsAt": rfc3339(ends_at)}


# Routing


def compare_routing(folder: Path, dice: Random, trees: int) -> Part:
    """Random trees, each with several label sets."""
    part, cases = Part("routing"), []
    deep = 0
    for number in range(trees):
        tree = some_tree(dice)
        file = alertmanager_file(folder, f"tree{number}", tree)
        rules = relay_rules(folder, f"tree{number}", tree)
        for _ in range(SETS):
            labels = some_labels(dice)
            found = resolve(rules.root, view_of(event(labels=labels)))
            deep += found != [rules.root]
            cases.append((tree, file, labels, ",".join(room for route in found for room in route.rooms)))
    with ThreadPoolExecutor(WORKERS) as pool:
        answers = list(pool.map(lambda case: ask_amtool(case[1], case[2]), cases))
    for (tree, _, labels, ours), theirs in zip(cases, answers, strict=True):
        part.compare({"labels": labels, "tree": tree}, ours, theirs)
    part.remark = f"{deep} end below the root, {sum(',' in answer for answer in answers)} at several receivers"
    return part


def compare_timers(folder: Path, dice: Random) -> Part:
    """When each route first tells of each alert: group waits, intervals and mutes, with many equal siblings."""
    part, found = Part("timers"), timers.drawn(dice)
    with timers.sunk() as sink:
        sections = {"receivers": timers.receivers(found, sink), "time_intervals": timers.INTERVALS}
        with alertmanager(alertmanager_file(folder, "timers", found.root, **sections)) as theirs:
            begun = CLOCK.now()
            for second in (0, 1):
                timers.pause(begun + second * timers.SECOND_AT - CLOCK.now())
                now = CLOCK.wall()
                alerts = [{"labels": labels, "startsAt": rfc3339(now)} for labels in timers.alerts_of(found, second)]
                theirs.post("/api/v2/alerts", alerts)
            timers.pause(begun + timers.WATCHED - 0.5 - CLOCK.now())
        answers = {name: at - begun for name, at in sink.told.items()}
    own = timers.ours(folder, found, 1_800_000_000.0)
    for name in {**own, **answers}:
        part.compare(
            {"told": name, "tree": found.root["routes"][int(name.split("-")[1])]},
            timers.turn(own.get(name)),
            timers.turn(answers.get(name)),
        )
    part.remark = f"{len(found.receivers)} routes in {timers.TREES} trees"
    return part


# Silences


def compare_silences(folder: Path, dice: Random) -> Part:
    """Each silence with each label set; and whether a silence is taken at all."""
    part = Part("silences")
    with alertmanager(alertmanager_file(folder, "silences", {"receiver": "r0"})) as theirs:
        now = CLOCK.wall()
        sets = [{**some_labels(dice), "n": str(number)} for number in range(SILENCED)]
        theirs.post("/api/v2/alerts", [posted(labels, now=now) for labels in sets])
        ours = [one for _ in range(SILENCES) if (one := some_silence(theirs, dice, part, now)) is not None]
        suppressor = Suppressor()
        suppressor.silence(ours)
        for alert in theirs.alerts():
            labels = sets[int(alert["labels"]["n"])]
            held = {*suppressor.held_by(view_of(event(labels=labels)), CLOCK.wall())[0]}
            for one in ours:
                case = {"labels": labels, "matchers": one.matchers, "state": one.state(now)}
                part.compare(case, one.id in held, one.id in alert["status"]["silencedBy"])
            part.remark = f"{len(ours)} silences of {SILENCES} are possible; the last alert is held by {len(held)}"
    return part


def some_silence(theirs: Alertmanager, dice: Random, part: Part, now: float) -> Silence | None:
    """A silence that both know, or None where neither takes it; one of eight is not in force."""
    comparisons = [some_comparison(dice) for _ in range(dice.randint(1, 3))]
    texts = tuple(str(make_matcher(*one)) for one in comparisons)  # type: ignore[arg-type]  # one of the operators
    (state,) = dice.choices(("active", "pending", "expired"), (14, 1, 1))
    starts_at = now + 3_600 if state == "pending" else now
    body = {
        "matchers": [
            {"name": name, "value": value, "isRegex": "~" in op, "isEqual": not op.startswith("!")}
            for name, op, value in comparisons
        ],
        "startsAt": rfc3339(starts_at),
        "endsAt": rfc3339(now + 7_200),
        "createdBy": "someone",
        "comment": "a test",
    }
    status, said = theirs.ask("POST", "/api/v2/silences", body)
    new_id = said["silenceID"] if status == 200 else ""
    wish = Wish(matchers=texts, starts_at=starts_at, ends_at=now + 7_200, created_by="someone", comment="a test")
    try:
        ours = make_silence(wish, new_id, now)
    except BadSilenceError:
        ours = None
    part.compare({"matchers": texts}, ours is not None, status == 200)
    if ours is None or not new_id:
        return None
    if state == "expired":
        assert theirs.ask("DELETE", f"/api/v2/silence/{new_id}")[0] == 200
        (ours,) = expire(ours, now)
    return ours


# Inhibition

MARKING = {"source_matchers": ['marker="source"'], "target_matchers": ['marker="target"'], "equal": ["step"]}
"""A rule by whose working it is seen that an Alertmanager has taken in all that was posted before."""


@dataclass(frozen=True)
class World:
    """Rules of inhibition, and the alerts in the order in which they come, with whether each fires."""

    rules: list[dict[str, Any]]
    alerts: list[tuple[Labels, bool]]


def some_world(dice: Random) -> World:
    """One to three rules and a few alerts, some of which come twice."""
    rules = [
        {
            "source_matchers": some_matchers(dice, FEW, (5, 60, 30, 5)),
            "target_matchers": some_matchers(dice, FEW, (5, 60, 30, 5)),
            "equal": dice.sample((*NAMES, "z"), dice.choice((0, 1, 1, 2))),
        }
        for _ in range(dice.randint(1, 3))
    ]
    sets = [{**some_labels(dice, FEW), "n": str(number)} for number in range(dice.randint(3, 8))]
    alerts = [(labels, dice.random() < 0.8) for labels in sets]
    again = [(labels, dice.random() < 0.5) for labels in sets if dice.random() < 0.2]
    return World(rules, [*alerts, *again])


def markers(step: str) -> list[tuple[Labels, bool]]:
    """Two alerts of which the one inhibits the other; what comes last is what must be taken in."""
    return [({"marker": kind, "step": step}, True) for kind in ("target", "source")]


def tell(theirs: Alertmanager, alerts: Sequence[tuple[Labels, bool]], step: str) -> None:
    """Post alerts, and wait until the rules know them: they learn of them one by one, in order."""
    now = CLOCK.wall()
    for labels, firing in alerts:
        theirs.post("/api/v2/alerts", [posted(labels, firing=firing, now=now)])
    theirs.post("/api/v2/alerts", [posted(labels, now=now) for labels, _ in markers(step)])

    def known() -> bool:
        found = [one for one in theirs.alerts() if one["labels"].get("step") == step]
        source = [one["fingerprint"] for one in found if one["labels"]["marker"] == "source"]
        return any(one["status"]["inhibitedBy"] == source for one in found)

    wait_for("the markers to work", known)


def asked_inhibition(file: Path, world: World) -> dict[str, bool]:
    """Which of the alerts that fire are inhibited by Alertmanager; by their labels as JSON."""
    with alertmanager(file) as theirs:
        tell(theirs, [], "first")
        tell(theirs, world.alerts, "last")
        return {identity(one["labels"]): bool(one["status"]["inhibitedBy"]) for one in theirs.alerts()}


def identity(labels: Mapping[str, str]) -> str:
    """What makes an alert the same; an empty label is none."""
    return json.dumps({name: labels[name] for name in sorted(labels) if labels[name]})


def own_inhibition(rules: Rules, world: World) -> dict[str, bool]:
    """The same by the relay."""
    suppressor, now = Suppressor(rules.inhibit), CLOCK.wall()
    firing: dict[str, Alert] = {}
    for labels, fires in [*markers("first"), *world.alerts, *markers("last")]:
        alert = Alert(
            source="fabric",
            format="relay",
            key=identity(labels),
            state="firing" if fires else "resolved",
            severity="major",
            title="t",
            labels=labels,
            started_at=now,
            updated_at=now,
            seen_at=now,
        )
        suppressor.note(alert)
        firing.pop(alert.key, None)
        if fires:
            firing[alert.key] = alert
    return {key: bool(suppressor.held_by(view_of(alert), now)[1]) for key, alert in firing.items()}


def compare_inhibition(folder: Path, dice: Random) -> Part:
    """Each set of rules with an Alertmanager of its own; each alert is a case."""
    part = Part("inhibition")
    worlds = [some_world(dice) for _ in range(INHIBITIONS)]
    files: list[Path] = []
    ours: list[dict[str, bool]] = []
    for number, world in enumerate(worlds):
        rules = [MARKING, *world.rules]
        files.append(alertmanager_file(folder, f"world{number}", {"receiver": "r0"}, inhibit_rules=rules))
        in_force = relay_rules(folder, f"world{number}", {"receiver": "r0"}, inhibit_rules=rules)
        ours.append(own_inhibition(in_force, world))
    with ThreadPoolExecutor(WORKERS) as pool:
        answers = list(pool.map(asked_inhibition, files, worlds))
    for world, own, theirs in zip(worlds, ours, answers, strict=True):
        for key in {**own, **theirs}:
            part.compare({"alert": key, "rules": world.rules, "alerts": world.alerts}, own.get(key), theirs.get(key))
    held = sum(inhibited and "marker" not in key for own in answers for key, inhibited in own.items())
    part.remark = f"{len(worlds)} sets of rules; {held} alerts are inhibited beside the markers"
    return part


# Time intervals


@dataclass
class Moment:
    """A moment to ask about: a time (Unix seconds) in a zone; `made` where Alertmanager needs a zone made for it."""

    at: float
    zone: str
    made: str = ""

    @property
    def local(self) -> datetime:
        """As a calendar and a clock there show it."""
        return datetime.fromtimestamp(self.at, ZoneInfo(self.zone))


def some_moment(dice: Random, now: float, number: int) -> Moment:
    """The present, or any moment, often about the end of a day or a month."""
    zone = dice.choice(ZONES)
    if number % 2:
        return Moment(now, zone)
    year, month = dice.choice((2000, 2023, 2024, 2025, 2028, 2038, dice.randint(1990, 2060))), dice.randint(1, 12)
    first = datetime(year, dice.choice((month, 2, 3)), 1, tzinfo=ZoneInfo(zone)).timestamp()
    day = dice.choice((0, 1, 26, 27, 28, 29, 30, dice.randint(0, 30), -1))
    minute = dice.choice((0, 1, 59, 60, 719, 720, 1_438, 1_439, dice.randint(0, 1_439)))
    return Moment(first + day * 86_400 + minute * 60, zone, f"Made/{number}")


def make_zone(folder: Path, moment: Moment, now: float) -> None:
    """Write a zone (RFC 8536) in which the present is a moment's local time."""
    offset = int(moment.local.replace(tzinfo=UTC).timestamp()) - int(now)
    block = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 5) + struct.pack(">lBB", offset, 0, 0) + b"MADE\0"
    file = folder / moment.made
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(block * 2 + b"\n\n")


def around(dice: Random, value: int, least: int, most: int) -> tuple[int, int]:
    """A range, mostly about a value and often ending at it."""
    middle = value if dice.random() < 0.75 else dice.randint(least, most)
    reach = max(1, (most - least) // 4)
    begin = max(least, middle - dice.choice((0, 0, 1, dice.randint(0, reach))))
    return begin, min(most, middle + dice.choice((0, 0, 1, dice.randint(0, reach))))


def ranged(words: tuple[str, str]) -> str:
    """A range as it is written."""
    return words[0] if words[0] == words[1] else ":".join(words)


def some_times(dice: Random, local: datetime) -> dict[str, str]:
    """A stretch of the day, which ends before its end."""
    begin, end = around(dice, local.hour * 60 + local.minute, 0, 1_440)
    begin = min(begin, 1_439)
    end = max(end, begin + 1)
    if dice.random() < 0.1:
        begin, end = dice.choice(((0, max(1, begin)), (begin, 1_440), (0, 1_440)))
    start_time, end_time = (f"{minute // 60:02}:{minute % 60:02}" for minute in (begin, end))
    return {"start_time": start_time, "end_time": end_time}


def some_days_of_month(dice: Random, local: datetime) -> str:
    """Days from the month's beginning or its end, as Alertmanager admits them."""
    after = datetime(local.year + local.month // 12, local.month % 12 + 1, 1, tzinfo=UTC)
    last = (after - datetime(local.year, local.month, 1, tzinfo=UTC)).days
    begin, end = around(dice, local.day, 1, 31)
    form = dice.random()
    if form < 0.3:
        return ranged((str(begin), str(end)))
    if form < 0.65:
        begin, end = (max(-31, min(-1, day - last - 1)) for day in (begin, end))
        return ranged((str(begin), str(end)))
    if form < 0.8 and begin <= 28 + min(-1, end - last - 1):
        return f"{begin}:{min(-1, end - last - 1)}"
    return dice.choice(("-1", "-31", "31", "30", "29", "29:31", "-31:-29", "-3:-1", "1:-1", "1:31", "-31:-1", "27:-1"))


def some_interval(dice: Random, moment: Moment) -> dict[str, Any]:
    """A stretch of time that may hold at a moment."""
    local = moment.local
    makers: dict[str, Callable[[], Any]] = {
        "times": lambda: some_times(dice, local),
        "weekdays": lambda: ranged(named(dice, WEEKDAYS, around(dice, local.isoweekday() % 7, 0, 6))),
        "days_of_month": lambda: some_days_of_month(dice, local),
        "months": lambda: ranged(named(dice, ("", *MONTHS), around(dice, local.month, 1, 12))),
        "years": lambda: ranged(tuple(map(str, around(dice, local.year, 1_970, 2_080)))),  # type: ignore[arg-type]
    }
    chances = {"times": 0.5, "weekdays": 0.4, "days_of_month": 0.6, "months": 0.3, "years": 0.3}
    given = [name for name in makers if dice.random() < chances[name]]
    counts = (1,) * 30 + (2,) * 20  # an empty list holds never there, and is refused here
    return {name: [bare_number(makers[name]()) for _ in range(dice.choice(counts))] for name in given}


def bare_number(value: Any) -> Any:
    """A year or a day as YAML has numbers, where it is just that."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d+", value) and int(value) % 2 else value


def named(dice: Random, names: Sequence[str], found: tuple[int, int]) -> tuple[str, str]:
    """Days or months by name, or months by number."""
    if not names[0] and dice.random() < 0.3:
        return str(found[0]), str(found[1])
    begin, end = (names[one] if dice.random() < 0.8 else names[one].capitalize() for one in found)
    return begin, end


@dataclass(frozen=True)
class Schedule:
    """Routes, each with intervals for one moment, in both sides' words."""

    moments: list[Moment]
    routes: list[Tree]
    ours: list[dict[str, Any]]
    theirs: list[dict[str, Any]]


def some_schedule(dice: Random, now: float) -> Schedule:
    """As many routes as intervals are to be asked about."""
    schedule = Schedule([], [], [], [])
    for number in range(INTERVALS):
        moment = some_moment(dice, now, number)
        names = [f"i{number}.{which}" for which in range(dice.choice((1, 1, 1, 2)))]
        for name in names:
            parts = [some_interval(dice, moment) for _ in range(dice.choice((1, 1, 2)))]
            for place, to in ((moment.zone, schedule.ours), (moment.made or moment.zone, schedule.theirs)):
                to.append({"name": name, "time_intervals": [{**one, "location": place} for one in parts]})
        keys = dice.choice((["mute"], ["active"], ["mute"], ["active"], ["mute", "active"]))
        route: Tree = {f"{key}_time_intervals": names if key == keys[-1] else names[-1:] for key in keys}
        schedule.moments.append(moment)
        schedule.routes.append({"matchers": [f'n="{number}"'], **route})
    return schedule


class Server(ThreadingHTTPServer):
    """A server to which all notifications may come at once."""

    request_queue_size = 2 * INTERVALS


class Hook:
    """A webhook's receiver on loopback that notes which alerts it is told of."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                seen.update(int(alert["labels"]["n"]) for alert in content["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()


def notified(file: Path, zones: Path, hook: Hook, now: float) -> None:
    """Let Alertmanager notify of an alert for each route, until it has done so or logged that it does not."""
    with alertmanager(file, ZONEINFO=str(zones)) as theirs:
        theirs.post("/api/v2/alerts", [posted({"n": str(number)}, now=now) for number in range(INTERVALS)])

        def decided() -> bool:
            return theirs.log.read_text().count('"Notifications not sent, route is ') + len(hook.seen) >= INTERVALS

        wait_for("every route to be decided", decided)


def compare_intervals(folder: Path, dice: Random) -> Part:
    """Routes with time intervals: which of them say something."""
    for number in range(3):
        place = folder / str(number)
        place.mkdir()
        if CLOCK.wall() % 60 > 40:
            Flag().wait(60.5 - CLOCK.wall() % 60)
        now = CLOCK.wall()
        schedule, hook = some_schedule(dice, now), Hook()
        try:
            rules = asked_intervals(place, schedule, hook, now)
        finally:
            hook.close()
        if now // 60 == CLOCK.wall() // 60:  # all was decided within one minute
            return compared_intervals(schedule, rules, hook.seen, now)
    raise TimeoutError("all routes to be decided within one minute")


def asked_intervals(folder: Path, schedule: Schedule, hook: Hook, now: float) -> Rules:
    """Let Alertmanager decide; and the rules by which the relay would."""
    for moment in schedule.moments:
        if moment.made:
            make_zone(folder, moment, now)
    tree: Tree = {"receiver": "hook", "group_by": ["n"], "group_wait": "1s", "routes": schedule.routes}
    receivers = [{"name": "hook", "webhook_configs": [{"url": hook.url}]}]
    file = alertmanager_file(folder, "intervals", tree, receivers, time_intervals=schedule.theirs)
    own = {"receiver": "r0", "routes": schedule.routes}
    rules = relay_rules(folder, "intervals", own, time_intervals=schedule.ours)
    notified(file, folder, hook, now)
    return rules


def compared_intervals(schedule: Schedule, rules: Rules, seen: set[int], now: float) -> Part:
    """The relay's decisions beside what Alertmanager notified of."""
    part = Part("time intervals")
    suppressor = Suppressor(intervals=rules.intervals)
    for number, (moment, route) in enumerate(zip(schedule.moments, rules.root.routes, strict=True)):
        held = suppressor.muted(route.policy.mute, route.policy.active, moment.at)
        mine = [one for one in schedule.ours if one["name"].split(".")[0] == f"i{number}"]
        case = {"local": moment.local, "zone": moment.zone, "route": schedule.routes[number], "intervals": mine}
        part.compare(case, "muted" if held else "told", "told" if number in seen else "muted")
    part.remark = f"{len(seen)} routes say something; every other moment is the present, {rfc3339(now)}"
    return part


# Texts

PIECES = (
    *("a", "b", "=", "!=", "=~", "!~", "=", "=~", '"', '"', "\\", "\\\\", '\\"', "\\n", "\\d", "\\.", "\\w", "+", ".*"),
    *("|", "(", ")", "[ab]", ",", ", ", "{", "}", " ", "é", "1", "'", "\n", "a.b", "a b", "~", "!", "x"),
)


def some_text(dice: Random) -> str:
    """What somebody might write as a matcher: mostly well formed, sometimes not quite."""
    value = "".join(dice.choices(PIECES, k=dice.randint(0, 4)))
    form = dice.random()
    if form < 0.45:
        return f'{dice.choice("ab")}{dice.choice(OPERATORS)}"{value}"'
    if form < 0.8:
        return f"{dice.choice('ab')}{dice.choice(OPERATORS)}{value}"
    text = spelled(some_comparison(dice), dice)
    place = dice.randint(0, len(text))
    return text[:place] + dice.choice(PIECES) + text[place + dice.randint(0, 1) :]


def compare_matcher_texts(folder: Path, dice: Random) -> Part:
    """Whether a text is a matcher, and for which label sets."""
    part, cases = Part("matcher texts"), []
    for number in range(MATCHER_TEXTS):
        text = some_text(dice)
        tree = {"receiver": "r0", "routes": [{"matchers": [text], "receiver": "r1"}]}
        file = alertmanager_file(folder, f"text{number}", tree)
        try:
            rules = relay_rules(folder, f"text{number}", tree)
        except ConfigurationError:
            rules = None
        values = (*VALUES, "\\d", "d", "ab1", "a\\.b", "a1", "n", '"', "\\", "a b")
        sets = [{name: dice.choice(values) for name in "ab"} for _ in range(3)]
        cases.append((text, file, sets, ["refused" if rules is None else own_room(rules, labels) for labels in sets]))
    with ThreadPoolExecutor(WORKERS) as pool:
        answers = list(pool.map(lambda case: [ask_amtool(case[1], labels) for labels in case[2]], cases))
    for (text, _, sets, ours), theirs in zip(cases, answers, strict=True):
        part.compare({"text": text, "label sets": sets}, ours, theirs)
    part.remark = f"{sum('refused' in answer for answer in answers)} are refused by Alertmanager"
    return part


def own_room(rules: Rules, labels: Labels) -> str:
    """Where the relay sends an event of these labels."""
    return ",".join(room for route in resolve(rules.root, view_of(event(labels=labels))) for room in route.rooms)


def some_interval_text(dice: Random) -> tuple[str, Any]:
    """A field of an interval and what somebody might write there."""
    months = (*MONTHS, "1", "12", "0", "13")
    clocks = ("00:00", "24:00", "9:00", "09:00", "17:30", "23:59", "24:01", "25:00", "12:60", "1200", "")
    days = (1, 2, 5, 15, 20, 28, 31, 32, 0, -1, -5, -28, -31, -32)

    def number() -> str:
        return str(dice.choice(days))

    def day() -> str:
        return dice.choice(WEEKDAYS)

    def month() -> str:
        return dice.choice(months)

    years = ("2020", "2026", "2030", "1", "99999", "-1", "0")
    makers: dict[str, Callable[[], Any]] = {
        "times": lambda: {"start_time": dice.choice(clocks), "end_time": dice.choice(clocks)},
        "weekdays": lambda: dice.choice(
            (day(), f"{day()}:{day()}", f"{day()} : {day()}", day()[:3], "1:5", day().title())
        ),
        "days_of_month": lambda: dice.choice((number(), f"{number()}:{number()}", f"{number()}:{number()}")),
        "months": lambda: dice.choice((month(), f"{month()}:{month()}", month()[:3], month().title())),
        "years": lambda: dice.choice((dice.choice(years), f"{dice.choice(years)}:{dice.choice(years)}")),
        "location": lambda: dice.choice((*ZONES, "Local", "Nowhere/Else", "", "utc", "CET", "+01:00", "../UTC")),
    }
    name = dice.choice([*makers])
    return name, makers[name]() if name == "location" else [makers[name]()]


def compare_interval_texts(folder: Path, dice: Random) -> Part:
    """Whether an interval is one."""
    part, files, cases, ours = Part("interval texts"), [], [], []
    for number in range(INTERVAL_TEXTS):
        name, value = some_interval_text(dice)
        sections = {"time_intervals": [{"name": "i", "time_intervals": [{name: value}]}]}
        files.append(str(alertmanager_file(folder, f"interval{number}", {"receiver": "r0"}, **sections)))
        cases.append({name: value})
        try:
            relay_rules(folder, f"interval{number}", {"receiver": "r0"}, **sections)
            ours.append(True)
        except ConfigurationError:
            ours.append(False)
    command = ["amtool", "check-config", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    taken = set(re.findall(r"Checking '(.+)'  SUCCESS", done.stdout))
    refused = set(re.findall(r"Checking '(.+)'  FAILED", done.stdout))
    for case, own, file in zip(cases, ours, files, strict=True):
        assert (file in taken) != (file in refused), done.stdout[-2_000:]
        part.compare(case, own, file in taken)
    part.remark = f"{len(refused)} are refused by Alertmanager"
    return part


# Batches of alerts


def some_posted(dice: Random, name: str, now: float) -> dict[str, Any]:
    """An alert to be posted; every third one or so has no label that says anything."""
    labels = {"alertname": name} if dice.random() < 0.65 else {}
    labels |= {label: dice.choice(("", "", "v")) if labels else "" for label in dice.sample(("a", "b", "c"), 2)}
    return posted(labels if dice.random() < 0.9 else {}, now=now)


def compare_batches(folder: Path, dice: Random) -> Part:
    """Which alerts of a batch are taken, by their fingerprints, and the status of the answer."""
    part, bad = Part("batches"), 0
    format_ = make_format("am", AlertmanagerApiSettings(type="alertmanager-api"))
    with alertmanager(alertmanager_file(folder, "batches", {"receiver": "r0"})) as theirs:
        seen: set[str] = set()
        for number in range(BATCHES):
            now = CLOCK.wall()
            batch = [some_posted(dice, f"n{number}-{index}", now) for index in range(dice.randint(1, 6))]
            read = read_payload(format_, Request(batch, "prometheus", received_at=now))
            bad += bool(read.unread)
            status, _ = theirs.ask("POST", "/api/v2/alerts", batch)
            new = {alert["fingerprint"] for alert in theirs.alerts()} - seen
            seen |= new
            ours = sorted({str(draft.key) for draft in read.drafts})
            part.compare({"batch": batch}, [400 if read.unread else 200, ours], [status, sorted(new)])
    part.remark = f"{bad} have a bad alert"
    return part


# The whole


def report(parts: Sequence[Part]) -> None:
    """Print the figures, and what differs."""
    print(f"\n{'':16}{'cases':>8}{'same':>8}{'intended':>10}{'different':>11}")
    for part in parts:
        figures = f"{part.cases:>8}{part.same:>8}{sum(part.intended.values()):>10}{len(part.differences):>11}"
        print(f"{part.name:16}{figures}   {part.remark}")
    for part in parts:
        for reason, count in part.intended.items():
            print(f"\n{part.name}, intended, {count} times: {reason}")
        for number, difference in enumerate(part.differences[:SHOWN], 1):
            print(f"\n{part.name}, difference {number} of {len(part.differences)}: {difference}")


def main() -> int:
    """Compare everything; 1 where a difference is not intended."""
    reader = argparse.ArgumentParser(description="The relay's decisions beside Alertmanager's.")
    reader.add_argument("--seed", type=int, default=None, help="to repeat a run; intervals depend on the time, too")
    reader.add_argument("--trees", type=int, default=400, help=f"routing trees, each with {SETS} label sets")
    options = reader.parse_args()
    seed = Random().randrange(1_000_000) if options.seed is None else options.seed
    print(f"--seed {seed} --trees {options.trees}", flush=True)
    runs: dict[str, Callable[[Path, Random], Part]] = {
        "routing": lambda folder, dice: compare_routing(folder, dice, options.trees),
        "timers": compare_timers,
        "silences": compare_silences,
        "inhibition": compare_inhibition,
        "intervals": compare_intervals,
        "matcher texts": compare_matcher_texts,
        "interval texts": compare_interval_texts,
        "batches": compare_batches,
    }
    parts = []
    for name, run in runs.items():
        with tempfile.TemporaryDirectory() as place:
            began = CLOCK.now()
            parts.append(run(Path(place), Random(f"{seed} {name}")))
            print(f"{name}: {CLOCK.now() - began:.0f} s", flush=True)
    report(parts)
    return 1 if any(part.differences for part in parts) else 0


if __name__ == "__main__":
    sys.exit(main())
