from __future__ import annotations

import json
from contextlib import suppress
from time import process_time
from typing import Any

import jmespath.exceptions
import pytest

from relay.core.event import Draft, Link
from relay.formats.batch import read_payload
from relay.formats.contract import Request, UnreadableError, Unrecognised
from relay.formats.expressions import MOST_STEPS, Expression, Purse, TooMuchWorkError
from relay.formats.mapping import MappingSettings, make_mapping

CAMERAS = MappingSettings(
    title="join(' ', [site, what])",
    each="events",
    status="state",
    severity="level",
    key="id",
    body="text",
    occurred_at="at",
    labels={"site": "site", "rack": "place.rack"},
    links={"Picture": "picture"},
    severities={"1": "critical"},
    statuses={"2": "resolved"},
)


def read(settings: MappingSettings, payload: Any) -> list[Draft]:
    return read_payload(make_mapping(settings), Request(payload=payload, source="cameras")).drafts


def refused(settings: MappingSettings, payload: Any) -> list[str]:
    return [one.error for one in read_payload(make_mapping(settings), Request(payload=payload, source="c")).unread]


def test_every_field_is_read_by_its_expression() -> None:
    item = {
        "site": "ams",
        "what": "dark",
        "state": "problem",
        "level": 1,
        "id": 12,
        "text": "b",
        "at": 1_772_331_000_000,
        "place": {"rack": 3},
        "picture": "https://example.org/p",
    }
    assert read(CAMERAS, {"events": [item]}) == [
        Draft(
            title="ams dark",
            status="firing",
            severity="critical",
            key="12",
            body="b",
            labels={"site": "ams", "rack": "3"},
            links=(Link("Picture", "https://example.org/p"),),
            occurred_at=1_772_331_000.0,
        )
    ]


def test_what_an_item_lacks_is_absent() -> None:
    (draft,) = read(CAMERAS, {"events": [{"site": "ams", "what": "dark"}]})
    assert draft == Draft(title="ams dark", labels={"site": "ams"})


@pytest.mark.parametrize("payload", [{"t": "a"}, [{"t": "a"}, {"t": "b"}]])
def test_without_each_an_object_is_one_event_and_a_list_is_many(payload: Any) -> None:
    drafts = read(MappingSettings(title="t"), payload)
    assert [draft.title for draft in drafts] == ["a", "b"][: len(drafts)]
    assert len(drafts) == (len(payload) if isinstance(payload, list) else 1)


def test_each_selects_from_each_document_of_a_list() -> None:
    settings = MappingSettings(title="join(' ', [_payload.site, what])", each="alarms")
    first, second = {"site": "ams", "alarms": [{"what": "dry"}]}, {"site": "lon", "alarms": [{"what": "wet"}]}
    assert [one.title for one in read(settings, [first, second])] == ["ams dry", "lon wet"]
    found = read_payload(make_mapping(settings), Request([first, {"x": 1}, {**second, "alarms": [{}]}], "s"))
    assert [one.title for one in found.drafts] == ["ams dry"]
    assert [one.error.partition(": ")[0] for one in found.unread] == ["[1].each", "[2].alarms[0].title"]
    assert [type(one) for one in read(settings, [{"x": 1}, {"y": 2}])] == [Unrecognised]


def test_each_may_build_its_items_with_braces() -> None:
    settings = MappingSettings(title="name", each="hosts[].{name: host, up: state}")
    assert [draft.title for draft in read(settings, {"hosts": [{"host": "a"}, {"host": "b"}]})] == ["a", "b"]
    (error,) = refused(settings, {"hosts": [{"host": "a"}, {}]})
    assert error.startswith("hosts[].{name: host, up: state}[1].title: ")


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("firing", "firing"),
        ("OK", "resolved"),
        ("Recovered", "resolved"),
        ("down", "firing"),
        ("2", "resolved"),
        (2, "resolved"),
        ("notice", "notice"),
        ("odd", "firing"),
    ],
)
def test_status_words_are_known_or_count_as_firing_with_a_note(word: object, status: str) -> None:
    (draft,) = read(CAMERAS, {"events": [{"site": "a", "what": "b", "id": "k", "state": word}]})
    assert draft.status == status
    assert bool(draft.notes) is (word == "odd")


def test_an_end_may_lack_its_title_but_not_its_key() -> None:
    settings = MappingSettings(title="t", status="s", key="k")
    assert read(settings, {"s": "ok", "k": "x"})[0].title == "x"
    (draft,) = read(settings, {"s": "ok", "t": "x"})
    assert (draft.title, draft.status, draft.severity) == ("x", "notice", "info")
    assert draft.notes == ("map.key found nothing: an end without a key ends no alert, so the event is a notice",)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, "each: expected a list from 'events', found null; check the path"),
        ({"events": {}}, "each: expected a list from 'events', found an object"),
        ({"events": [{}]}, "events[0].title: \"join(' ', [site, what])\" needs a field"),
        ({"events": [{"site": "", "what": ""}]}, "title"),
        ({"events": [5]}, "title"),
        (5, "each"),
        ("x", "each"),
        (None, "each"),
        ([{"site": "a"}], "each"),
    ],
)
def test_a_foreign_payload_is_the_notice_that_shows_it_and_names_what_was_sought(payload: Any, said: str) -> None:
    (draft,) = read(CAMERAS, payload)
    assert isinstance(draft, Unrecognised)
    shown = draft.body if isinstance(payload, str) else json.loads(draft.body)
    assert (draft.title, shown) == ("unrecognised payload from cameras", payload)
    assert said.partition(".")[2] in draft.notes[0] if "." in said else said in draft.notes[0]
    with suppress(UnreadableError):
        found = read_payload(make_mapping(CAMERAS, feed=True), Request(payload=payload, source="cameras"))
        assert (found.drafts, len(found.unread)) == ([], 1)  # a feed has frames of many kinds


TITLES = (
    "join(': ', [name || 'a door', 'news'])",
    "join('', ['alert on ', to_string(length(events || `[]`)), ' doors'])",
    "name || 'a door'",
    "join('/', [name || '', place || ''])",
    "type(name) == 'string' && name || 'none'",
)


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("payload", [{"hello": "world", "n": 1}, {}, {"name": ""}, {"name": None}, [{"x": 1}], "text"])
def test_a_title_of_which_no_word_came_from_the_payload_is_none(title: str, payload: Any) -> None:
    assert [type(one) for one in read(MappingSettings(title=title), payload)] == [Unrecognised]


def test_a_title_that_is_constant_is_meant_for_every_payload() -> None:
    assert [one.title for one in read(MappingSettings(title="'door bell'"), {"x": 1})] == ["door bell"]


@pytest.mark.parametrize(
    "at", ["20260301021000", 20260301021000, "2026/03/01 02:10:00", 1_772_331_000, "1772331000000"]
)
def test_a_time_is_read_however_it_is_written(at: Any) -> None:
    (draft,) = read(MappingSettings(title="t", occurred_at="at"), {"t": "x", "at": at})
    assert draft.occurred_at == 1_772_331_000.0


def test_an_absent_field_is_an_empty_text_and_no_null() -> None:
    text = "join('/', [to_string(a), b || '', to_string(c)])"
    absent = "to_string(a)"
    settings = MappingSettings(title=text, key=text, body=absent, severity=absent, labels={"a": absent})
    (draft,) = read(settings, {"b": "x", "c": 5})
    assert (draft.title, draft.key, draft.body, draft.severity, draft.labels) == ("/x/5", "/x/5", "", None, {})
    assert read(settings, {"a": {"ü": 1}, "c": True})[0].title == '{"ü":1}//true'


def test_a_key_of_which_no_part_came_from_the_payload_is_none() -> None:
    settings = MappingSettings(title="t", key="join('/', [a || '', b || ''])")
    assert [one.key for one in read(settings, [{"t": "x"}, {"t": "x", "b": 0}, {"t": "x", "b": "y"}])] == [
        None,
        None,
        "/y",
    ]
    assert read(MappingSettings(title="t", key="to_string(a)"), {"t": "x"})[0].key is None
    assert read(MappingSettings(title="t", key="'door'"), {"t": "x"})[0].key == "door"


def test_what_a_mapping_requires_decides_whether_a_payload_is_its_own() -> None:
    settings = MappingSettings(title="t", requires="door.id", when="state != 'TEST'")
    own: dict[str, Any] = {"t": "x", "door": {"id": 0}}
    assert [one.title for one in read(settings, own)] == ["x"]
    assert read(settings, {**own, "state": "TEST"}) == []
    (foreign,) = read(settings, {"t": "x", "state": "TEST"})
    assert foreign.notes == (
        "the mapping does not know this payload: requires: 'door.id' finds nothing; it has t, state",
    )
    mixed = read_payload(make_mapping(settings), Request([own, {"t": "y"}], "s"))
    assert ([one.title for one in mixed.drafts], len(mixed.unread)) == (["x"], 1)


def test_what_is_dropped_by_when_has_the_field_that_says_so() -> None:
    settings = MappingSettings(title="t", when="level == 'high'")
    assert read(settings, {"t": "x", "level": "low"}) == []
    assert read(settings, {"t": "x"}) == []
    assert [type(one) for one in read(settings, {"x": "y"})] == [Unrecognised]
    assert read(settings, {"level": "low"}) == []


def test_an_optional_expression_that_fails_counts_as_absent_with_a_note() -> None:
    settings = MappingSettings(title="t", body="length(n)", labels={"x": "abs(t)"}, occurred_at="at")
    (draft,) = read(settings, {"t": "a", "n": 5, "at": 10**400})
    assert (draft.body, draft.labels, draft.occurred_at) == ("", {}, None)
    assert [note.split(" ")[0] for note in draft.notes] == ["map.body", "map.labels.x", "map.occurred_at"]


@pytest.mark.parametrize("text", ["", "a[", "nope(", "a ==", "unknown_function_name(", "`"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a JMESPath expression"):
        Expression(text)


@pytest.mark.parametrize(
    "expression", ["contains(title, id)", "max_by(items, &n)", "ceil(huge)", "items[::0]", "title > id && 'x'"]
)
def test_whatever_an_optional_expression_raises_it_counts_as_absent(expression: str) -> None:
    payload = {"title": "x", "id": 5, "items": [{"n": 1}, {"n": "a"}], "huge": float("inf")}
    (draft,) = read(MappingSettings(title="title", body=expression), payload)
    assert draft.title == "x"
    assert draft.body in ("", "x")


def test_a_function_that_there_is_not_is_no_expression() -> None:
    with pytest.raises(ValueError, match=r"there is no function foo\(\)"):
        make_mapping(MappingSettings(title="title", body="items[?foo(bar)]"))


def test_within_a_list_the_whole_payload_is_in_reach_and_what_is_not_there_is_told() -> None:
    settings = MappingSettings(
        each="alarms", title="join(' ', [headline, 'at', _payload.site])", links={"A": "headline"}
    )
    (draft,) = read(settings, {"site": "Haarlem", "alarms": [{"headline": "dry"}]})
    assert draft.title == "dry at Haarlem"
    assert draft.notes == ("map.links.A counts as absent: expected an address like https://…, found the text 'dry'",)
    (draft,) = read(settings, {"site": "Haarlem", "alarms": [{"name": "dry"}]})
    error = draft.notes[0]
    assert "needs a field that is not in this payload; it has _payload, name" in error


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        ("began", True),
        (2, True),
        ("1", True),
        ("ended", False),
        (False, None),
        (None, None),
        (0, None),
        ("0", None),
        ("", None),
    ],
)
def test_a_mapping_tells_of_a_downtime(value: Any, expected: bool | None) -> None:
    settings = MappingSettings(title="what", key="id", downtime="held")
    [draft] = read(settings, {"what": "disk", "id": "k", "held": value})
    assert (draft.downtime, draft.notes) == (expected, ())


def test_a_word_for_a_downtime_that_nobody_knows_counts_as_absent_with_a_note() -> None:
    settings = MappingSettings(title="what", downtime="held")
    [draft] = read(settings, {"what": "disk", "held": "perhaps"})
    assert draft.downtime is None
    assert draft.notes == ("map.downtime counts as absent: expected true, 'began' or 'ended', found 'perhaps'",)


def test_a_mapping_tells_who_withdrew_an_acknowledgement() -> None:
    settings = MappingSettings(title="what", key="id", acknowledged_by="owner", unacknowledged_by="released_by")
    [draft] = read(settings, {"what": "disk", "id": "k", "owner": "", "released_by": "ida"})
    assert (draft.key, draft.acknowledged_by, draft.unacknowledged_by) == ("k", None, "ida")


ITEMS = [{"id": number, "name": f"n{number}", "text": "x" * 100} for number in range(2_000)]


@pytest.mark.parametrize(
    "text",
    [
        "[@, @][] | " * 60 + "[0]",
        "[@, @] | " * 60 + "to_string(@)",
        "[@, @] | " * 60 + "@ == @",
        "{a: @, b: @} | " * 60 + "@",
        "join(join(json, map(&name, items)), map(&text, items))".replace("json", "items[0].text"),
        "items[?length(to_string($)) > `0`]".replace("$", "@"),
        "items[].[@, items] | [] | [].[@, @][] | [].[@, @][] | [].[@, @][]",
        "sort_by(items, &join(text, [name, text, text])) | " * 30 + "[0]",
        "map(&map(&map(&id, `[1, 2, 3]`), `[1, 2, 3]`), items) | " * 12 + "@",
    ],
)
def test_an_expression_that_would_never_end_is_stopped_in_a_second_or_two(text: str) -> None:
    began = process_time()
    with suppress(TooMuchWorkError, jmespath.exceptions.JMESPathError):
        Expression(text).find({"items": ITEMS, "_payload": {"items": ITEMS}}, Purse())
    assert process_time() - began < 3.0


def test_a_large_payload_with_a_plain_mapping_stays_well_under_the_bound() -> None:
    many = [{**item, "site": {"a": "ams"}, "level": "high"} for item in ITEMS] * 5
    mapping = make_mapping(
        MappingSettings(
            each="items",
            title="join(' ', [site.a, name])",
            key="id",
            severity="level",
            body="text",
            labels={"site": "site.a", "name": "name"},
            when="level != 'low'",
        )
    )
    found = read_payload(mapping, Request(payload={"items": many}, source="cameras"))
    assert (len(found.drafts), found.unread) == (10_000, [])


def test_items_behind_the_work_that_a_payload_may_take_are_refused_and_the_others_are_read() -> None:
    mapping = make_mapping(MappingSettings(each="items", title="name", body="_payload.items[?id == `7`] | [0].text"))
    found = read_payload(mapping, Request(payload={"items": ITEMS}, source="cameras"))
    assert 50 < len(found.drafts) < 2_000
    assert len(found.drafts) + len(found.unread) == 2_000
    assert f"the mapping takes over {MOST_STEPS:,} steps of work" in found.unread[0].error
