"""The fold of groups: whatever comes in whatever order, what a room is told is true in the end."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from relay.core.delivery import POSTS, Intent
from relay.core.event import Event
from relay.core.group import Group, Members, group_key, schedule
from relay.core.grouping import plan_groups
from relay.core.incident import Incident, Policy
from relay.core.matching import parse_matchers
from relay.core.news import is_news
from relay.core.planning import plan, plan_due
from relay.core.routing import Destination, Route
from relay.core.rules import Rules
from relay.core.suppression import Silence
from tests.fakes.ledger import Ledger
from tests.fakes.made import event, waiting

T0 = 1_000.0


def rules(**changes: Any) -> Rules:
    policy = msgspec.structs.replace(Policy(group_by=("site",)), **changes)
    root = Route(path="route", rooms=("noc",), policy=policy)
    return Rules(root, {"noc": None}, None, {"{}": root})


class GroupLedger(Ledger):
    """The ledger of plans with the groups that they touch, which are looked at when they are due."""

    def __init__(self, in_force: Rules) -> None:
        super().__init__(in_force)
        self.groups: dict[str, Group] = {}
        self.edits: Counter[int] = Counter()
        self.why: dict[int, str] = {}

    def write(self, made: Any) -> Any:
        super().write(made)
        self.why.update(dict(made.suppressed))
        written = self.intents[len(self.intents) - len(made.intents) :]
        pairs = zip(made.intents, written, strict=True)
        posted = {intent.message: real.message for intent, real in pairs if intent.action in POSTS}
        self.edits.update(intent.message for intent in written if intent.action == "edit")
        for group in made.groups.values():
            self.groups[group.id] = msgspec.structs.replace(group, message=posted.get(group.message, group.message))
        for moved in made.intents:
            if moved.moved_to:
                self._move(moved.message, posted[moved.moved_to])
        for name, group in made.touched.items():
            known = self.groups.setdefault(name, group)
            if known.flush_at is None:
                self.groups[name] = msgspec.structs.replace(known, wake_at=group.wake_at)
        return made

    def _move(self, old: int, new: int) -> None:
        for number, incident in self.incidents.items():
            if incident.message == old:
                self.incidents[number] = msgspec.structs.replace(incident, message=new)

    def members(self, group: Group) -> Members:
        mine = tuple(i for i in self.incidents.values() if i.group_id == group.id and i.live)
        told = sum(i.message == group.message != 0 for i in self.incidents.values())
        return Members(group, mine, self.edits[group.message], told)

    def tick(self, now: float) -> list[Intent]:
        """Look at what is due, until nothing is."""
        before = len(self.intents)
        self.wait_until(now)
        while due := [g for g in self.groups.values() if g.wake_at is not None and g.wake_at <= now]:
            self.write(plan_groups([self.members(group) for group in due], self.rules, self.suppressor, now))
        return self.intents[before:]

    def come(self, seq: int, *events: Event) -> None:
        self.take([waiting(seq + n, one) for n, one in enumerate(events)])


def at(now: float, **changes: Any) -> Event:
    return event(**{"labels": {"site": "a"}, "occurred_at": now, "received_at": now, **changes})


def shown(intents: list[Intent]) -> list[tuple[str, str | None]]:
    return [(intent.action, intent.content) for intent in intents]


def test_a_group_waits_for_company_and_is_then_told_at_intervals() -> None:
    ledger = GroupLedger(rules())
    ledger.come(1, at(T0, key="k1"))
    assert ledger.tick(T0 + 29) == []
    ledger.come(2, at(T0 + 29, key="k2"))
    (post,) = ledger.tick(T0 + 30)
    assert (post.action, post.event_seq, post.also) == ("post", 2, (1,))
    ledger.come(3, at(T0 + 31, key="k3"))
    assert ledger.tick(T0 + 329) == []
    assert shown(ledger.tick(T0 + 330)) == [("edit", None)]
    ledger.come(4, at(T0 + 1_000, key="k4"))
    assert ledger.tick(T0 + 1_229) == []
    assert shown(ledger.tick(T0 + 1_230)) == [("edit", None)]


def test_an_alert_that_began_long_ago_does_not_wait() -> None:
    ledger = GroupLedger(rules())
    ledger.come(1, at(T0, occurred_at=T0 - 31))
    assert shown(ledger.tick(T0)) == [("post", None)]


def test_a_new_critical_and_the_end_of_all_are_told_in_the_thread() -> None:
    ledger = GroupLedger(rules(group_wait=0.0, group_interval=0.0))
    ledger.come(1, at(T0, key="k1"), at(T0, key="k2"))
    ledger.tick(T0)
    ledger.come(3, at(T0 + 1, key="k3", severity="critical", title="core down"), at(T0 + 1, key="k1", severity="minor"))
    assert shown(ledger.tick(T0 + 1)) == [("edit", None), ("reply", "🔴 **CRITICAL** · core down")]
    ledger.come(5, *(at(T0 + 61, key=key, status="resolved") for key in ("k1", "k2", "k3")))
    assert shown(ledger.tick(T0 + 61)) == [("edit", None), ("reply", "✅ all 3 resolved, the last after 1 min")]


def test_what_is_over_before_its_group_is_due_is_told_to_nobody() -> None:
    ledger = GroupLedger(rules())
    ledger.come(1, at(T0), at(T0 + 10, status="resolved"))
    assert ledger.tick(T0 + 1_000) == []
    assert ledger.why == {1: "brief", 2: "brief"}


def test_a_group_that_fires_again_soon_keeps_its_message_and_later_gets_a_new_one() -> None:
    ledger = GroupLedger(rules(group_wait=0.0, group_interval=0.0))
    ledger.come(1, at(T0))
    ledger.tick(T0)
    ledger.come(2, at(T0 + 60, status="resolved"))
    ledger.tick(T0 + 60)
    ledger.come(3, at(T0 + 120, key="k9", title="another"))
    assert shown(ledger.tick(T0 + 120)) == [("edit", None), ("reply", "🟠 **MAJOR** · another")]
    ledger.come(4, at(T0 + 180, key="k9", status="resolved"))
    ledger.tick(T0 + 180)
    ledger.come(5, at(T0 + 781, key="k9"))
    assert shown(ledger.tick(T0 + 781)) == [("post", None)]


def test_a_group_out_of_edits_rolls_over() -> None:
    ledger = GroupLedger(rules(group_wait=0.0, group_interval=0.0))
    for number in range(12):
        ledger.come(number + 1, at(T0 + number, key=f"k{number}"))
        ledger.tick(T0 + number)
    actions = [intent.action for intent in ledger.intents]
    assert actions == ["post", *["edit"] * 9, "post", "edit", "edit"]
    assert ledger.intents[11].content == "⏩ **continued** · port-down on node-7 · a newer message tells of it"
    assert {incident.message for incident in ledger.incidents.values()} == {ledger.intents[10].message}


def test_a_group_is_reminded_of_unless_somebody_has_it() -> None:
    ledger = GroupLedger(rules(group_wait=0.0, repeat_interval=3_600.0))
    ledger.come(1, at(T0, key="k1"), at(T0, key="k2", title="disk"))
    ledger.tick(T0)
    assert shown(ledger.tick(T0 + 3_600)) == [
        ("reply", "🟠 **2 still firing** · the first for 1 h 00 · port-down on node-7 · disk")
    ]
    ledger.come(3, at(T0 + 3_601, key="k1", status="notice", acknowledged_by="anna"))
    ledger.tick(T0 + 3_601)
    assert shown(ledger.tick(T0 + 3_900)) == [("edit", None)]
    assert shown(ledger.tick(T0 + 7_500)) == [("reply", "🟠 **MAJOR** · still firing after 2 h 05")]


def test_groups_are_told_apart_by_room_route_and_labels() -> None:
    route = Route(path="route", rooms=("noc",), policy=Policy(group_by=("site", "severity")))
    key = group_key(at(T0), Destination("noc", route))
    assert key.labels == {"site": "a", "severity": "major"}
    assert key.id != group_key(at(T0, severity="info"), Destination("noc", route)).id
    assert key.id != group_key(at(T0), Destination("core", route)).id
    everything = msgspec.structs.replace(route, policy=Policy(group_by=("...",)))
    assert group_key(at(T0), Destination("noc", everything)).labels == {"site": "a", "source": "fabric"}
    alone = msgspec.structs.replace(route, policy=Policy())
    assert group_key(at(T0), Destination("noc", alone)).labels is None


@given(st.floats(0, 1e6), st.floats(0.001, 1e5), st.floats(0, 1e6))
def test_a_group_is_due_at_a_whole_number_of_intervals_and_never_in_the_past(
    flushed_at: float, interval: float, later: float
) -> None:
    now = flushed_at + later
    group = Group(id="noc|{}\n[]", room="noc", lineage="{}", labels={}, flushed_at=flushed_at)
    known = Incident(
        id=1,
        source="s",
        key="k",
        room="noc",
        lineage=group.lineage,
        labels={},
        message=0,
        seq=1,
        event=at(now),
        started_at=now,
        remind_at=0,
    )
    due = schedule(group, [known], Policy(group_interval=interval), now).flush_at
    assert due is not None
    assert due >= now
    assert due - now <= interval * (1 + 1e-6) + 1e-6


steps = st.lists(
    st.tuples(
        st.sampled_from(["fire", "fire", "end", "ack", "silence", "unsilence", "wait"]),
        st.sampled_from(["k1", "k2", "k3", "k4"]),
        st.sampled_from(["critical", "major", "minor"]),
        st.integers(0, 900),
    ),
    max_size=25,
)


@given(steps, st.sampled_from([0.0, 30.0]), st.sampled_from([0.0, 300.0]), st.booleans())
def test_in_the_end_a_room_has_been_told_the_truth(
    history: list[tuple[str, str, str, int]], wait: float, interval: float, rings: bool
) -> None:
    mention = ("anna@example.net",) if rings else ()
    ledger = GroupLedger(rules(group_wait=wait, group_interval=interval, mention=mention))
    now, seq, firing, silenced = T0, 0, set[str](), set[str]()
    for what, key, severity, seconds in history:
        now += seconds
        ledger.tick(now)
        if what in ("fire", "end", "ack"):
            seq += 1
            kind = {"fire": "firing", "end": "resolved", "ack": "notice"}[what]
            who = "anna" if what == "ack" else None
            ledger.come(seq, at(now, key=key, severity=severity, status=kind, acknowledged_by=who))
            if what != "ack":
                (firing.add if what == "fire" else firing.discard)(key)
        elif what != "wait":
            (silenced.add if what == "silence" else silenced.discard)(key)
            ledger.suppressor.silence([silence(key) for key in silenced])
            sweep(ledger, now)
    ledger.suppressor.silence([])
    sweep(ledger, now)
    ledger.tick(now + 2_000)
    check(ledger, firing)
    told = {s for intent in ledger.intents for s in (intent.event_seq, *intent.also)}
    assert told | set(ledger.why) | set(ledger.suppressed) >= set(range(1, seq + 1))


def silence(key: str) -> Silence:
    return Silence(
        id=key, matchers=(f'key="{key}"',), starts_at=0, ends_at=1e12, created_by="a", comment="c", updated_at=0
    )


def sweep(ledger: GroupLedger, now: float) -> None:
    """What the planner does when something may have changed of what is held."""
    keys = {(i.source, i.key) for i in ledger.incidents.values() if i.firing}
    if keys:
        ledger.write(plan_due(keys, ledger.rules, ledger.known(keys), ledger.suppressor, now))
    ledger.tick(now)


def check(ledger: GroupLedger, firing: set[str]) -> None:
    """Every alert's last incident stands as it is, in the group's one message, which was posted once."""
    posts = Counter(intent.message for intent in ledger.intents if intent.action == "post")
    assert set(posts.values()) <= {1}
    (group,) = ledger.groups.values() or (None,)
    for incident in ledger.incidents.values():
        assert not is_news(incident) or incident.quiet, incident
        assert incident.news == ()
        assert incident.message or incident.shown is None
    open_now = {incident.key for incident in ledger.incidents.values() if incident.firing}
    assert open_now == firing
    for incident in ledger.incidents.values():
        if incident.firing and (incident.ack is None or incident.shown is not None):  # who has it need not be told
            assert group is not None
            assert incident.message == group.message != 0


def test_what_a_matcher_says_is_no_part_of_a_groups_labels() -> None:
    route = Route(
        path="route",
        rooms=("noc",),
        matchers=tuple(parse_matchers('x=~"a|b\\nc"')),
        policy=Policy(group_by=("site",)),
        lineage='{}/{x=~"a|b\\\\nc"}',
    )
    key = group_key(at(T0), Destination("noc", route))
    assert (key.lineage, key.labels) == (route.lineage, {"site": "a"})
    assert plan(
        [waiting(1, at(T0))], rules(), GroupLedger(rules()).known(set()), GroupLedger(rules()).suppressor
    ).touched
