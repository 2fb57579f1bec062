from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.alert import Alert, fold, inherit
from relay.core.event import OPERATOR_SOURCE, Event
from relay.core.incident import Policy
from relay.core.matching import parse_matchers
from relay.core.news import is_news
from relay.core.plan import Known, Plan, Waiting
from relay.core.planning import decide, plan, plan_due
from relay.core.routing import Route, walk
from relay.core.rules import Rules, route_event
from relay.core.suppression import Silence, Suppressor
from tests.fakes.ledger import Ledger
from tests.fakes.made import event, waiting
from tests.fakes.trees import ROOT, Tree, grown, plain_trees, views

ROOMS = ("noc", "core", "oncall", "vip")


def child(number: int, matcher: str, *rooms: str, go_on: bool = False, template: str | None = None) -> Route:
    found = tuple(parse_matchers(matcher))
    return Route(
        path=f"route.routes[{number}]",
        rooms=rooms,
        matchers=found,
        continues=go_on,
        template=template,
        lineage=f"{{}}/{{{matcher}}}",
    )


TREE = Route(
    path="route",
    rooms=("noc",),
    routes=(
        child(0, 'severity="critical"', "noc", "oncall", go_on=True, template="loud"),
        child(1, 'site="a"', "core"),
        child(2, 'site=~"b|c"', "vip", "core"),
    ),
)
RULES = Rules(
    TREE,
    {"noc": None, "core": "terse", "oncall": None, "vip": None},
    Route(path="operator", rooms=("noc",), lineage="operator"),
)

events = st.builds(
    event,
    source=st.sampled_from(["fabric", "probe"]),
    key=st.sampled_from(["k1", "k2"]),
    status=st.sampled_from(["firing", "firing", "resolved", "resolved", "notice"]),
    severity=st.sampled_from(["critical", "major", "info"]),
    severity_given=st.booleans(),
    labels=st.dictionaries(st.just("site"), st.sampled_from(["a", "b", "c", "d"])),
    title=st.sampled_from(["one", "two"]),
    occurred_at=st.floats(0, 2_000),
)
histories = st.lists(events, min_size=1, max_size=14).map(
    lambda found: [waiting(seq, one) for seq, one in enumerate(found, 1)]
)


def one_by_one(*history: Event, rules: Rules = RULES) -> Ledger:
    ledger = Ledger(rules)
    for seq, one in enumerate(history, 1):
        ledger.take([waiting(seq, one)])
    return ledger


def nothing() -> Known:
    return Known({}, {})


def rooms_of(made: Plan, seq: int) -> list[str]:
    return [intent.room for intent in made.intents if intent.event_seq == seq]


@given(histories)
def test_every_event_does_something_or_is_said_to_do_nothing(history: list[Waiting]) -> None:
    ledger = Ledger(RULES)
    made = ledger.take(history)
    told = {intent.event_seq for intent in made.intents}
    assert told | set(ledger.suppressed) == {waiting.seq for waiting in history}
    assert not told & set(ledger.suppressed)
    assert made.up_to == history[-1].seq
    notices = {waiting.seq for waiting in history if waiting.event.status == "notice"}
    assert notices <= told


@given(histories, st.lists(st.integers(1, 5), max_size=6))
def test_the_batches_in_which_events_are_planned_change_nothing(history: list[Waiting], sizes: list[int]) -> None:
    whole, parts = Ledger(RULES), Ledger(RULES)
    whole.take(history)
    rest = history
    for size in [*sizes, len(history)]:
        if rest:
            parts.take(rest[:size])
            rest = rest[size:]

    def told(ledger: Ledger) -> list[tuple[Any, ...]]:
        return [(i.action, i.room, i.event_seq, i.content, i.rank) for i in ledger.intents]

    assert told(whole) == told(parts)
    assert whole.suppressed == parts.suppressed
    assert whole.alerts == parts.alerts
    assert whole.firing().keys() == parts.firing().keys()


@given(histories)
def test_what_fires_is_open_where_it_was_told_and_what_has_ended_is_open_nowhere(history: list[Waiting]) -> None:
    ledger = Ledger(RULES)
    ledger.take(history)
    last = {w.event.key + w.event.source: w.event for w in history if w.event.status != "notice"}
    firing = {key for (source, key_, _), _ in ledger.firing().items() for key in [key_ + source]}
    assert firing == {key for key, one in last.items() if one.status == "firing"}


@given(histories)
def test_each_incident_has_one_message_unless_its_end_was_long_ago(history: list[Waiting]) -> None:
    ledger = Ledger(RULES)
    ledger.take(history)
    posted = Counter(intent.message for intent in ledger.intents if intent.action == "post")
    assert set(posted.values()) <= {1}
    messages = [incident.message for incident in ledger.incidents.values()]
    assert len(messages) == len(set(messages))
    assert {intent.message for intent in ledger.intents if intent.action != "post"} <= set(messages)


@given(histories, st.permutations(["k1", "k2"]))
def test_keys_do_not_touch_one_another(history: list[Waiting], keys: list[str]) -> None:
    whole = Ledger(RULES)
    whole.take(history)
    for key in keys:
        mine = [waiting for waiting in history if waiting.event.key == key]
        if mine:
            alone = Ledger(RULES)
            alone.take(mine)
            seqs = {waiting.seq for waiting in mine}
            assert [(i.action, i.room, i.event_seq, i.content) for i in alone.intents] == [
                (i.action, i.room, i.event_seq, i.content) for i in whole.intents if i.event_seq in seqs
            ]


def test_an_incident_is_posted_changed_and_ended_in_one_message() -> None:
    ledger = one_by_one(
        event(severity="major"),
        event(severity="major"),
        event(severity="minor"),
        event(severity="critical"),
        event(status="resolved", occurred_at=1_840.0),
    )
    assert ledger.done(1) == [("post", "noc")]
    assert ledger.suppressed == [2]
    assert ledger.done(3) == [("edit", "noc")]
    assert ledger.done(4) == [("edit", "noc"), ("reply", "noc"), ("post", "oncall")]
    assert ledger.done(5) == [("edit", "noc"), ("reply", "noc"), ("edit", "oncall"), ("reply", "oncall")]
    assert [intent.content for intent in ledger.intents if intent.action == "reply"] == [
        "🔴 **CRITICAL** · was MINOR",
        "✅ resolved after 14 min",
        "✅ resolved after 14 min",
    ]
    assert ledger.firing() == {}


def test_an_end_without_labels_goes_where_its_beginning_went() -> None:
    began = event(labels={"site": "b"}, severity="critical", severity_given=True)
    ended = event(status="resolved", labels={}, severity="warning", severity_given=False, title="k1")
    ledger = one_by_one(began, ended)
    rooms = ["noc", "oncall", "vip", "core"]
    assert ledger.done(1) == [("post", room) for room in rooms]
    assert ledger.done(2) == [(action, room) for room in rooms for action in ("edit", "reply")]
    assert {(i.event.title, i.event.severity) for i in ledger.incidents.values()} == {(began.title, "critical")}


def test_an_end_is_titled_by_what_is_true_now() -> None:
    began = event(title="ping on core-1 is CRITICAL")
    ledger = one_by_one(began, event(status="resolved", title="ping on core-1 is OK"))
    assert {i.event.title for i in ledger.incidents.values()} == {"ping on core-1 is OK"}


def test_an_alert_that_expires_keeps_its_title_as_nobody_knows_what_is_true_now() -> None:
    ledger = one_by_one(event(title="ping on core-1 is CRITICAL"))
    ledger.wait_until(1_000.0 + 86_400.0)
    assert {(i.state, i.event.title) for i in ledger.incidents.values()} == {("expired", "ping on core-1 is CRITICAL")}


def test_an_end_whose_labels_changed_is_told_where_it_is_open_and_nowhere_else() -> None:
    ledger = one_by_one(event(labels={"site": "b"}), event(labels={"site": "a"}, status="resolved"))
    assert ledger.done(1) == [("post", "vip"), ("post", "core")]
    assert {room for _, room in ledger.done(2)} == {"vip", "core"}


def test_a_change_of_labels_opens_it_where_they_lead_now_and_keeps_it_where_it_was() -> None:
    ledger = one_by_one(event(labels={"site": "b"}), event(labels={"site": "a"}, title="worse"))
    assert ledger.done(2) == [("edit", "core"), ("edit", "vip")]
    moved = one_by_one(event(labels={"site": "a"}), event(labels={"site": "b"}))
    assert moved.done(2) == [("post", "vip"), ("edit", "core")]


def test_a_room_that_is_gone_is_told_no_end_and_keeps_nothing_open() -> None:
    ledger = one_by_one(event(labels={"site": "b"}))
    ledger.rules = msgspec.structs.replace(RULES, rooms={"noc": None, "core": None, "oncall": None})
    ledger.take([waiting(7, event(labels={"site": "b"}, status="resolved"))])
    assert {room for _, room in ledger.done(7)} == {"core"}
    assert ledger.firing() == {}


def test_an_end_of_nothing_is_said_to_change_nothing() -> None:
    ledger = one_by_one(event(status="resolved"))
    assert (ledger.intents, ledger.suppressed) == ([], [1])


def test_what_returns_soon_lives_on_in_its_message_and_later_gets_a_new_one() -> None:
    soon = one_by_one(event(), event(status="resolved", occurred_at=1_100.0), event(occurred_at=1_200.0))
    assert soon.done(3) == [("edit", "noc"), ("reply", "noc")]
    assert soon.intents[-1].content == "🟠 **MAJOR** again, 1 min after its end"
    assert len(soon.incidents) == 1
    late = one_by_one(event(), event(status="resolved", occurred_at=1_100.0), event(occurred_at=1_701.0))
    assert late.done(3) == [("post", "noc")]
    assert len(late.incidents) == 2


def test_a_flapping_incident_says_so_once_and_is_quiet_until_it_holds() -> None:
    history = [
        event(status=status, occurred_at=at, received_at=at)
        for at, status in zip(range(1_000, 1_900, 100), ["firing", "resolved"] * 5, strict=False)
    ]
    ledger = one_by_one(*history)
    assert [ledger.done(seq) for seq in range(1, 10)] == [
        [("post", "noc")],
        *[[("edit", "noc"), ("reply", "noc")]] * 4,
        [],
        [],
        [],
        [],
    ]
    assert ledger.intents[-1].content == "flapping: 5 changes in 6 min; quiet until it holds for 10 min"
    assert ledger.suppressed == [6, 7, 8, 9]
    assert ledger.wait_until(2_399.0) == []
    edit, reply = ledger.wait_until(2_400.0)
    assert (edit.action, reply.content) == ("edit", "🟠 **MAJOR** · fires for 10 min now, and flaps no more")
    ledger.take([waiting(10, event(status="resolved", occurred_at=2_500.0, received_at=2_500.0))])
    assert ledger.done(10) == [("edit", "noc"), ("reply", "noc")]
    assert len({intent.message for intent in ledger.intents}) == 1


def test_a_flapping_incident_that_stays_away_is_told_to_be_over() -> None:
    history = [
        event(status=status, occurred_at=at, received_at=at)
        for at, status in zip(range(1_000, 1_600, 100), ["firing", "resolved"] * 3, strict=True)
    ]
    ledger = one_by_one(*history)
    assert ledger.suppressed == [6]
    edit, reply = ledger.wait_until(2_100.0)
    assert (edit.action, reply.content) == ("edit", "✅ resolved, and flaps no more for 10 min")
    assert ledger.wait_until(10**9) == []


def with_policy(**changes: Any) -> Rules:
    root = Route(path="route", rooms=("noc",), policy=Policy(**changes))
    return Rules(root, {"noc": None}, None, {"{}": root})


def test_a_route_says_what_changes_and_ends_do() -> None:
    history = (event(), event(title="other"), event(status="resolved"))
    replies = one_by_one(*history, rules=with_policy(on_update=("reply",), on_resolve=("none",)))
    assert [replies.done(seq) for seq in (2, 3)] == [[("reply", "noc")], []]
    assert replies.suppressed == [3]
    posts = one_by_one(*history, rules=with_policy(on_update=("post",), on_resolve=("reply",)))
    assert [posts.done(seq) for seq in (2, 3)] == [[("post", "noc"), ("edit", "noc")], [("reply", "noc")]]
    first, second, moved, reply = posts.intents
    assert (first.message != second.message, reply.message) == (True, second.message)
    assert (moved.message, moved.content) == (
        first.message,
        "⏩ **continued** · other · a newer message tells of it",
    )


def test_what_still_fires_is_reminded_of_and_what_its_source_forgot_expires() -> None:
    ledger = one_by_one(event(received_at=1_000.0), rules=with_policy(repeat_interval=3_600.0))
    assert ledger.wait_until(4_599.0) == []
    (reminder,) = ledger.wait_until(4_601.0)
    assert (reminder.action, reminder.content) == ("reply", "🟠 **MAJOR** · still firing after 1 h 00")
    assert ledger.wait_until(4_602.0) == []
    edit, reply = ledger.wait_until(1_000.0 + 86_400.0)
    assert (edit.action, reply.content) == (
        "edit",
        "⌛ expired after 1 d 0 h: its source has said nothing of it any more",
    )
    assert ledger.alerts["fabric", "k1"].state == "expired"
    assert ledger.wait_until(10**9) == []
    ledger.take([waiting(2, event(occurred_at=90_000.0, received_at=90_000.0))])
    assert ledger.done(2) == [("post", "noc")]


def test_a_repeat_keeps_an_alert_from_expiring_and_its_reminders_where_they_are() -> None:
    rules = with_policy(repeat_interval=100_000.0)
    ledger = one_by_one(event(received_at=1_000.0), event(received_at=80_000.0), rules=rules)
    assert ledger.wait_until(1_000.0 + 86_400.0) == []
    (incident,) = ledger.incidents.values()
    assert incident.wake_at == 101_000.0
    assert [intent.action for intent in ledger.wait_until(101_000.0)] == ["reply"]


def test_a_source_has_its_own_time_after_which_alerts_expire() -> None:
    rules = msgspec.structs.replace(with_policy(), timeouts={"fabric": 60.0})
    assert [intent.action for intent in one_by_one(event(), rules=rules).wait_until(1_061.0)] == ["edit", "reply"]


def test_an_incident_of_a_vanished_route_lives_by_the_roots_policy() -> None:
    ledger = one_by_one(event(), rules=with_policy(on_resolve=("none",)))
    ledger.rules = msgspec.structs.replace(RULES, root=Route(path="route", rooms=("core",)))
    ledger.take([waiting(2, event(status="resolved"))])
    assert ledger.done(2) == [("edit", "noc"), ("reply", "noc")]


def test_the_routes_template_wins_over_the_rooms() -> None:
    made = plan([waiting(1, event(severity="critical", labels={"site": "a"}))], RULES, nothing(), Suppressor())
    assert {intent.room: intent.template for intent in made.intents} == {
        "noc": "loud",
        "oncall": "loud",
        "core": "terse",
    }


def test_the_relays_own_trouble_goes_to_the_operators_room_alone() -> None:
    own = event(source=OPERATOR_SOURCE, severity="critical", labels={"site": "b"})
    assert rooms_of(plan([waiting(1, own)], RULES, nothing(), Suppressor()), 1) == ["noc"]
    without = msgspec.structs.replace(RULES, operator=None)
    assert rooms_of(plan([waiting(1, own)], without, nothing(), Suppressor()), 1) == ["noc", "oncall", "vip", "core"]


def test_a_notice_opens_nothing_and_inherits_nothing() -> None:
    known = Known({("fabric", "k1"): alert()}, {})
    made = plan([waiting(1, event(status="notice"))], RULES, known, Suppressor())
    assert (made.incidents, made.alerts, made.adopted) == ({}, {}, [])
    notice = event(status="notice", labels={})
    assert decide(notice, RULES, known).event is notice


def alert(**changes: Any) -> Alert:
    made = Alert(
        "fabric", "relay", "k1", "firing", "critical", "it is down", {"site": "b", "pod": "1"}, 500.0, 600.0, 601.0
    )
    return msgspec.structs.replace(made, **changes)


@given(events)
def test_an_event_inherits_only_what_it_lacks(one: Event) -> None:
    known = alert()
    got = inherit(one, known)
    assert got.labels == {**known.labels, **one.labels}
    assert got.severity == (one.severity if one.severity_given else known.severity)
    assert got.title == one.title
    assert inherit(one, alert(state="resolved")) is one
    assert inherit(one, None) is one


@given(st.lists(events.filter(lambda one: one.status != "notice"), min_size=1))
def test_an_alert_began_with_the_first_firing_event_since_its_last_end(history: list[Event]) -> None:
    state: Alert | None = None
    began: float | None = None
    for one in history:
        state = fold(one, state, one.received_at)
        assert state is not None
        assert (state.state, state.updated_at) == (one.status, one.occurred_at)
        began = one.occurred_at if began is None else began
        assert state.started_at == began
        began = None if one.status == "resolved" else began


# Each route's own policy


def _numbered(tree: list[Any], numbers: Iterator[int]) -> list[Any]:
    """A tree each of whose routes is told from all others by its policy."""
    return [
        (texts, go_on, wait, _numbered(inner, numbers))
        for texts, go_on, inner, wait in ((t[0], t[1], t[3], next(numbers)) for t in tree)
    ]


def _rules(tree: list[Any]) -> Rules:
    root = with_rooms(grown(ROOT, tree))
    return Rules(root, dict.fromkeys(ROOMS), routes={one.lineage: one for one in walk(root)})


def with_rooms(route: Route) -> Route:
    rooms = (ROOMS[int(route.policy.group_wait) % len(ROOMS)],)
    return msgspec.structs.replace(route, rooms=rooms, routes=tuple(map(with_rooms, route.routes)))


def waits(ledger: Ledger) -> dict[str, float]:
    """Each incident's room, and the policy that it lives by."""
    return {one.room: ledger.rules.policy_of(one.lineage).group_wait for one in ledger.incidents.values()}


@given(plain_trees, views, st.data())
def test_an_incident_lives_by_the_policy_of_the_route_that_was_resolved_through_reloads_too(
    tree: list[Any], view: dict[str, str], data: st.DataObject
) -> None:
    tree = _numbered(tree, itertools.count(1))
    ledger = Ledger(_rules(tree))
    ledger.take([waiting(1, event(labels=view))])
    expected = {target.room: target.route.policy.group_wait for target in route_event(event(labels=view), ledger.rules)}
    assert waits(ledger) == expected
    place = data.draw(st.integers(0, len(tree)))
    other: Tree = (['team="new"'], data.draw(st.booleans()), 9_999, [])
    ledger.rules = _rules([*tree[:place], other, *tree[place:]])
    assert waits(ledger) == expected
    ledger.rules = _rules(tree)
    ledger.take([waiting(2, event(labels=view, title="changed"))])
    assert waits(ledger) == expected


# Nobody, who has it, and downtimes


def lone_rules(*rooms: str, **policy: Any) -> Rules:
    root = Route(path="route", rooms=rooms, policy=msgspec.structs.replace(Policy(), **policy))
    return Rules(root, dict.fromkeys(ROOMS))


def reasons(made: Plan) -> list[str]:
    return [why for _, why in made.suppressed]


@pytest.mark.parametrize("status", ["firing", "resolved", "notice"])
def test_what_a_route_without_rooms_takes_is_told_to_nobody_and_counted(status: Any) -> None:
    ledger = Ledger(lone_rules())
    made = ledger.take([waiting(1, event(status=status))])
    assert (made.intents, reasons(made)) == ([], ["unrouted"])
    assert (status == "firing") == any(alert.state == "firing" for alert in ledger.alerts.values())


def test_an_open_incident_is_told_of_where_it_is_open_though_its_route_has_no_rooms_any_more() -> None:
    ledger = Ledger(lone_rules("noc"))
    ledger.take([waiting(1, event())])
    ledger.rules = lone_rules()
    made = ledger.take([waiting(2, event(status="resolved"))])
    assert {intent.room for intent in made.intents} == {"noc"}


def test_a_critical_notice_mentions_as_a_critical_alert_does() -> None:
    ledger = Ledger(lone_rules("noc", mention=("anna@example.net",)))
    critical = ledger.take([waiting(1, event(status="notice", severity="critical"))])
    major = ledger.take([waiting(2, event(status="notice", key="k2", severity="major"))])
    assert [intent.mention for intent in (*critical.intents, *major.intents)] == [("anna@example.net",), ()]


def test_an_acknowledgement_that_is_withdrawn_leaves_the_message_and_lets_reminders_begin_again() -> None:
    ledger = Ledger(lone_rules("noc", repeat_interval=3_600.0))
    ledger.take([waiting(1, event())])
    ledger.take([waiting(2, event(status="notice", acknowledged_by="anna", received_at=1_100.0))])
    assert ledger.wait_until(30_000.0) == []
    given = ledger.take([waiting(3, event(status="notice", unacknowledged_by="anna", received_at=31_000.0))])
    assert [intent.action for intent in given.intents] == ["edit"]
    assert all(one.ack is None for one in ledger.incidents.values())
    assert [intent.action for intent in ledger.wait_until(34_599.0)] == []
    assert [intent.action for intent in ledger.wait_until(34_600.0)] == ["reply"]
    again = ledger.take([waiting(4, event(status="notice", unacknowledged_by="anna", received_at=34_700.0))])
    assert (again.intents, reasons(again)) == ([], ["repeat"])


def test_what_fires_in_a_downtime_is_told_when_that_ends_and_it_still_fires() -> None:
    ledger = Ledger(lone_rules("noc"))
    held = ledger.take([waiting(1, event(downtime=True))])
    assert (held.intents, reasons(held)) == ([], ["downtime"])
    repeated = ledger.take([waiting(2, event(downtime=True))])
    assert (repeated.intents, reasons(repeated)) == ([], ["downtime"])
    over = ledger.take([waiting(3, event(status="notice", title="downtime over", downtime=False))])
    assert [(intent.action, intent.room) for intent in over.intents] == [("post", "noc")]
    later = ledger.take([waiting(4, event(status="notice", title="downtime over", downtime=False))])
    assert (later.intents, reasons(later)) == ([], ["repeat"])


def test_what_ends_within_its_downtime_is_told_to_nobody() -> None:
    ledger = Ledger(lone_rules("noc"))
    ledger.take([waiting(1, event(downtime=True))])
    assert ledger.take([waiting(2, event(status="resolved"))]).intents == []
    assert ledger.take([waiting(3, event(status="notice", downtime=False))]).intents == []


def test_a_problem_that_outlives_its_downtime_is_told_by_its_next_state_too() -> None:
    ledger = Ledger(lone_rules("noc"))
    ledger.take([waiting(1, event(downtime=True))])
    assert [one.action for one in ledger.take([waiting(2, event())]).intents] == ["post"]


def test_a_downtime_quiets_what_was_told_before_and_says_nothing_of_what_is_not_known() -> None:
    ledger = Ledger(lone_rules("noc", repeat_interval=3_600.0))
    begun = event(status="notice", title="downtime begins", downtime=True)
    unknown = ledger.take([waiting(1, begun)])
    assert (unknown.intents, reasons(unknown)) == ([], ["nothing_open"])
    ledger.take([waiting(2, event())])
    ledger.take([waiting(3, begun)])
    assert ledger.wait_until(80_000.0) == []


FIRING, OVER = event(), event(status="resolved", received_at=1_010.0, occurred_at=1_010.0)
TAKEN_UP = event(status="notice", acknowledged_by="anna")
FLAPS = [one for _ in range(4) for one in (FIRING, OVER)]


@pytest.mark.parametrize(
    ("history", "policy", "reason"),
    [
        ([FIRING, FIRING], {}, "repeat"),
        ([FIRING, TAKEN_UP, TAKEN_UP], {}, "repeat"),
        ([OVER], {}, "nothing_open"),
        ([FIRING, OVER, OVER], {}, "nothing_open"),
        ([TAKEN_UP], {}, "nothing_open"),
        ([FIRING, OVER, TAKEN_UP], {}, "nothing_open"),
        ([event(status="notice", downtime=True)], {}, "nothing_open"),
        ([*FLAPS], {}, "flapping"),
        ([*FLAPS, FIRING], {}, "flapping"),
        ([*FLAPS, FIRING, event(title="other words")], {}, "flapping"),
        ([*FLAPS, FIRING, OVER, OVER], {}, "nothing_open"),
        ([FIRING, event(title="other words")], {"on_update": ("none",)}, "policy"),
        ([FIRING, OVER], {"on_resolve": ("none",)}, "policy"),
        ([event(downtime=True), OVER], {}, "downtime"),
    ],
)
def test_an_event_that_changes_nothing_has_one_reason(
    history: list[Event], policy: dict[str, Any], reason: str
) -> None:
    ledger = Ledger(lone_rules("noc", reopen_within=600.0, **policy))
    made = [ledger.take([waiting(seq, one)]) for seq, one in enumerate(history, 1)][-1]
    assert (made.intents, reasons(made)) == ([], [reason])


def told_on(made: Plan) -> list[tuple[str, bool]]:
    """What a plan sends, and whether it rings."""
    return [(intent.action, bool(intent.mention)) for intent in made.intents]


@pytest.mark.parametrize("mention", [(), ("anna@example.net",)], ids=["quiet", "ringing"])
@pytest.mark.parametrize("how", ["downtime", "silence"])
@pytest.mark.parametrize("before", ["told", "ended"])
def test_what_worsened_or_began_again_while_it_was_held_back_is_told_aloud_when_that_ends(
    mention: tuple[str, ...], how: str, before: str
) -> None:
    ledger = Ledger(lone_rules("noc", mention=mention))
    ledger.take([waiting(1, event(severity="major"))])
    if before == "ended":
        ledger.take([waiting(2, event(status="resolved"))])
    if how == "silence":
        ledger.suppressor.silence([silence_of("k1")])
    ledger.take([waiting(3, event(severity="critical", downtime=how == "downtime"))])
    assert all(not intent.mention for intent in ledger.intents[1:])
    if how == "silence":
        ledger.suppressor.silence([])
        over = ledger.write(
            plan_due([("fabric", "k1")], ledger.rules, ledger.known({("fabric", "k1")}), ledger.suppressor, 2_000.0)
        )
    else:
        over = ledger.take([waiting(4, event(status="notice", downtime=False))])
    first = ("post", True) if mention else ("edit", False)
    assert told_on(over)[0] == first
    assert {action for action, _ in told_on(over)} == ({"post", "edit"} if mention else {"edit", "reply"})


def silence_of(key: str) -> Silence:
    return Silence(
        id="s", matchers=(f'key="{key}"',), starts_at=0, ends_at=1e12, created_by="a", comment="c", updated_at=0
    )


def test_what_improved_while_it_was_held_back_rings_nobody() -> None:
    ledger = Ledger(lone_rules("noc", mention=("anna@example.net",)))
    ledger.take([waiting(1, event(severity="critical"))])
    ledger.take([waiting(2, event(severity="major", downtime=True))])
    over = ledger.take([waiting(3, event(status="notice", downtime=False))])
    assert over.intents == []


def test_an_alert_that_becomes_critical_is_told_though_someone_had_it_when_it_was_not() -> None:
    rules_ = lone_rules("noc", "core", group_by=("site",), group_wait=900.0)
    ledger = Ledger(rules_)
    ledger.take([waiting(1, event(severity="major"))])
    ledger.take([waiting(2, event(status="notice", acknowledged_by="anna"))])
    assert not any(is_news(one) for one in ledger.incidents.values())
    ledger.take([waiting(3, event(severity="critical"))])
    assert all(is_news(one) for one in ledger.incidents.values())


def test_a_room_that_an_alert_reaches_later_knows_who_has_it() -> None:
    ledger = Ledger(RULES)
    ledger.take([waiting(1, event(severity="major", labels={"site": "a"}))])
    ledger.take([waiting(2, event(status="notice", acknowledged_by="anna"))])
    made = ledger.take([waiting(3, event(severity="critical", labels={"site": "a"}))])
    acks = {one.room: one.ack.by if one.ack else "" for one in ledger.incidents.values()}
    assert acks == {"core": "anna", "noc": "anna", "oncall": "anna"}
    assert {intent.room for intent in made.intents if intent.action == "post"} == {"noc", "oncall"}


def test_the_same_acknowledgement_again_changes_nothing() -> None:
    ledger = Ledger(lone_rules("noc"))
    ledger.take([waiting(1, event())])
    taken_up = event(status="notice", acknowledged_by="anna", body="mine")
    assert len(ledger.take([waiting(2, taken_up)]).intents) == 1
    again = ledger.take([waiting(3, taken_up)])
    assert (again.intents, reasons(again)) == ([], ["repeat"])


def test_an_alert_that_no_room_knows_of_expires_too_and_inhibits_no_more() -> None:
    ledger = Ledger(lone_rules())
    made = ledger.take([waiting(1, event(ends_at=1_300.0))])
    (alert,) = made.alerts.values()
    assert alert.wake_at == 1_300.0
    key = (alert.source, alert.key)
    early = plan_due([key], ledger.rules, ledger.known({key}), ledger.suppressor, 1_299.0)
    assert [one.state for one in early.alerts.values()] == ["firing"]
    over = plan_due([key], ledger.rules, ledger.known({key}), ledger.suppressor, 1_300.0)
    assert [(one.state, one.wake_at) for one in over.alerts.values()] == [("expired", None)]


# The relay's own clock


@given(
    histories,
    st.lists(st.integers(-3 * 86_400, 3 * 86_400), min_size=14, max_size=14),
    st.sampled_from([0.0, 2.0]),
)
def test_jumps_of_the_wall_clock_change_nothing_of_what_is_told_and_when(
    history: list[Waiting], jumps: list[int], ago: float
) -> None:
    steady, jumping = Ledger(RULES), Ledger(RULES)
    for number, (one, jump) in enumerate(zip(history, jumps, strict=False)):
        at = 1_000.0 + number * 700.0
        plain = msgspec.structs.replace(one.event, occurred_at=at - ago, received_at=at)
        shifted = msgspec.structs.replace(plain, occurred_at=at - ago + jump, received_at=at + jump)
        before = [(i.action, i.room, i.event_seq) for i in steady.take([Waiting(one.seq, plain, at)]).intents]
        assert [
            (i.action, i.room, i.event_seq) for i in jumping.take([Waiting(one.seq, shifted, at)]).intents
        ] == before
        due = at + 600.0
        waited = [(i.action, i.room) for i in steady.wait_until(due)]
        assert [(i.action, i.room) for i in jumping.wait_until(due)] == waited
    assert steady.suppressed == jumping.suppressed
