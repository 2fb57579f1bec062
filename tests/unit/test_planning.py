from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from relay.core.alert import Alert, OpenIncident, fold, inherit
from relay.core.event import Event
from relay.core.matching import parse_matchers
from relay.core.planning import OPERATOR_SOURCE, Known, Plan, Rules, Waiting, decide, plan
from relay.core.routing import Route
from tests.unit.made import event

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
RULES = Rules(TREE, {"noc": None, "core": "terse", "oncall": None, "vip": None}, Route(path="operator", rooms=("noc",)))

events = st.builds(
    event,
    source=st.sampled_from(["fabric", "probe"]),
    key=st.sampled_from(["k1", "k2"]),
    status=st.sampled_from(["firing", "firing", "resolved", "resolved", "notice"]),
    severity=st.sampled_from(["critical", "major", "info"]),
    severity_given=st.booleans(),
    labels=st.dictionaries(st.just("site"), st.sampled_from(["a", "b", "c", "d"])),
    occurred_at=st.floats(0, 100),
)
histories = st.lists(events, min_size=1, max_size=14).map(
    lambda found: [Waiting(seq, one) for seq, one in enumerate(found, 1)]
)


def nothing() -> Known:
    return Known({}, {})


def rooms_of(made: Plan, seq: int) -> list[str]:
    return [posting.room for posting in made.postings if posting.event_seq == seq]


def in_batches(history: list[Waiting], sizes: list[int], known: Known) -> list[Plan]:
    plans, rest = [], history
    for size in [*sizes, len(history)]:
        if rest:
            plans.append(plan(rest[:size], RULES, known))
            rest = rest[size:]
    return plans


@given(histories)
def test_every_event_reaches_at_least_one_room_and_no_room_twice(history: list[Waiting]) -> None:
    made = plan(history, RULES, nothing())
    counts = Counter((posting.event_seq, posting.room) for posting in made.postings)
    assert {seq for seq, _ in counts} == {waiting.seq for waiting in history}
    assert set(counts.values()) == {1}
    assert made.up_to == history[-1].seq


@given(histories)
def test_an_end_reaches_every_room_in_which_its_incident_is_open(history: list[Waiting]) -> None:
    made = plan(history, RULES, nothing())
    open_in: dict[tuple[str, str], set[str]] = {}
    for waiting in history:
        key = (waiting.event.source, waiting.event.key)
        posted = set(rooms_of(made, waiting.seq))
        if waiting.event.status != "notice":
            assert posted >= open_in.get(key, set())
        if waiting.event.status == "firing":
            open_in.setdefault(key, set()).update(posted)
        elif waiting.event.status == "resolved":
            open_in.pop(key, None)


@given(histories, st.lists(st.integers(1, 5), max_size=6))
def test_the_batches_in_which_events_are_planned_change_nothing(history: list[Waiting], sizes: list[int]) -> None:
    one_known, many_known = nothing(), nothing()
    whole, parts = plan(history, RULES, one_known), in_batches(history, sizes, many_known)
    assert [posting for part in parts for posting in part.postings] == whole.postings
    assert [waiting for part in parts for waiting in part.adopted] == whole.adopted
    alerts: dict[Any, Alert] = {}
    for part in parts:
        alerts.update(part.alerts)
    assert alerts == whole.alerts == one_known.alerts == many_known.alerts
    assert {key: set(rooms) for key, rooms in one_known.open.items()} == {
        key: set(rooms) for key, rooms in many_known.open.items()
    }


@given(histories, st.lists(st.integers(1, 5), max_size=6))
def test_the_written_incidents_are_those_that_are_open(history: list[Waiting], sizes: list[int]) -> None:
    known = nothing()
    table: dict[tuple[str, str, str], OpenIncident] = {}
    for part in in_batches(history, sizes, known):
        for incident, _ in part.closed:
            assert table.pop((incident.source, incident.key, incident.room)) == incident
        for opened in part.opened:
            if opened.ended_at is None:
                place = (opened.incident.source, opened.incident.key, opened.incident.room)
                assert place not in table
                table[place] = opened.incident
    still_open = [incident for rooms in known.open.values() for incident in rooms.values()]
    assert sorted(table.values(), key=repr) == sorted(still_open, key=repr)


@given(histories, st.permutations(["k1", "k2"]))
def test_keys_do_not_touch_one_another(history: list[Waiting], keys: list[str]) -> None:
    whole = plan(history, RULES, nothing())
    for key in keys:
        mine = [waiting for waiting in history if waiting.event.key == key]
        if mine:
            seqs = {waiting.seq for waiting in mine}
            alone = plan(mine, RULES, nothing()).postings
            assert alone == [posting for posting in whole.postings if posting.event_seq in seqs]


def test_an_end_without_labels_goes_where_its_beginning_went() -> None:
    began = event(labels={"site": "b"}, severity="critical", severity_given=True)
    ended = event(status="resolved", labels={}, severity="warning", severity_given=False, title="k1")
    made = plan([Waiting(1, began), Waiting(2, ended)], RULES, nothing())
    assert rooms_of(made, 1) == rooms_of(made, 2) == ["noc", "oncall", "vip", "core"]
    (adopted,) = made.adopted
    assert (adopted.seq, adopted.event.title, adopted.event.severity) == (2, began.title, "critical")


def test_an_end_whose_labels_changed_goes_to_its_own_route_and_where_it_is_open() -> None:
    made = plan(
        [Waiting(1, event(labels={"site": "b"})), Waiting(2, event(labels={"site": "a"}, status="resolved"))],
        RULES,
        nothing(),
    )
    assert rooms_of(made, 2) == ["core", "vip"]
    assert [posting.route for posting in made.postings if posting.event_seq == 2] == ["route.routes[1]", "incident"]
    assert all(opened.ended_at is not None for opened in made.opened)
    assert made.closed == []


def test_a_room_that_is_gone_gets_no_end_and_keeps_nobody_open() -> None:
    rules = msgspec.structs.replace(RULES, rooms={"noc": None, "core": None, "oncall": None})
    incident = OpenIncident("fabric", "k1", "vip", "vip|{}", 5.0)
    known = Known({}, {("fabric", "k1"): {"vip": incident}})
    made = plan([Waiting(7, event(status="resolved"))], rules, known)
    assert rooms_of(made, 7) == ["noc"]
    assert made.closed == [(incident, 1_000.0)]


def test_an_incident_that_returns_in_one_batch_is_two() -> None:
    history = [event(), event(status="resolved"), event()]
    made = plan([Waiting(seq, one) for seq, one in enumerate(history, 1)], RULES, nothing())
    assert [(opened.seq, opened.ended_at) for opened in made.opened] == [(1, 1_000.0), (3, None)]


def test_the_routes_template_wins_over_the_rooms() -> None:
    made = plan([Waiting(1, event(severity="critical", labels={"site": "a"}))], RULES, nothing())
    assert {posting.room: posting.template for posting in made.postings} == {
        "noc": "loud",
        "oncall": "loud",
        "core": "terse",
    }


def test_the_relays_own_trouble_goes_to_the_operators_room_alone() -> None:
    own = event(source=OPERATOR_SOURCE, severity="critical", labels={"site": "b"})
    assert rooms_of(plan([Waiting(1, own)], RULES, nothing()), 1) == ["noc"]
    without = msgspec.structs.replace(RULES, operator=None)
    assert rooms_of(plan([Waiting(1, own)], without, nothing()), 1) == ["noc", "oncall", "vip", "core"]


def test_a_notice_opens_nothing_and_inherits_nothing() -> None:
    known = Known({("fabric", "k1"): alert()}, {})
    made = plan([Waiting(1, event(status="notice"))], RULES, known)
    assert (made.opened, made.alerts, made.adopted) == ([], {}, [])
    notice = event(status="notice", labels={})
    assert decide(notice, RULES, known).event is notice


def alert(**changes: Any) -> Alert:
    made = Alert("fabric", "k1", "firing", "critical", "it is down", {"site": "b", "pod": "1"}, 500.0, 600.0)
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
        state = fold(one, state)
        assert state is not None
        assert (state.state, state.updated_at) == (one.status, one.occurred_at)
        began = one.occurred_at if began is None else began
        assert state.started_at == began
        began = None if one.status == "resolved" else began
