"""`when` on a source: what nobody asked for is dropped, whatever the format, and nothing is lost by mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.app.assembly.reading import make_format
from relay.app.trial.checks import adapter_problems
from relay.app.trial.explain import as_json, explain_payload
from relay.core.event import Draft, SourceDefaults
from relay.formats import FORMATS, Format, Request
from relay.formats.batch import Read, read_payload
from relay.formats.contract import decode_body
from relay.formats.wanted import NAMES, When, is_always_wanted, with_when
from relay.settings.load import load
from relay.settings.sources import ApicSettings, SourceBase, WebhookSettings
from tests.fakes.readers import GOLDEN, NOW, READERS

DEFAULTS = SourceDefaults(source="lab", format="relay", severity="minor", labels={"site": "ams", "team": "db"})


def read(when: str, payload: Any, format_: Format | None = None) -> Read:
    chosen = with_when(format_ or FORMATS["relay"], when, DEFAULTS)
    return read_payload(chosen, Request(payload, "lab", received_at=NOW))


def wanted(when: str, **event: Any) -> bool:
    found = read(when, {"title": "t", "status": "firing", "key": "k", **event})
    assert len(found.drafts) + len(found.dropped) == 1
    return bool(found.drafts)


@pytest.mark.parametrize(
    ("when", "event", "expected"),
    [
        ("severity != 'info'", {"severity": "info"}, False),
        ("severity != 'info'", {"severity": "none"}, False),  # as the relay would store it
        ("severity == 'major'", {"severity": "Error"}, True),
        ("severity == 'minor'", {}, True),  # the source's default
        ("contains(['critical', 'major'], severity)", {"severity": "P1"}, True),
        ("contains(['critical', 'major'], severity)", {"severity": "warning"}, False),
        ("status != 'notice'", {"status": "notice", "key": None}, False),
        ("labels.site == 'ams'", {}, True),  # the source's own label
        ("labels.site == 'ams'", {"labels": {"site": "fra"}}, False),
        ("labels.rack", {}, False),
        ("starts_with(title, 'Link')", {"title": "Link down"}, True),
        ("!contains(title, 'Link')", {"title": "Link down"}, False),
        ("payload.site.floor > `2`", {"site": {"floor": 3}}, True),
        ("payload.site.floor > `2`", {"site": {"floor": 1}}, False),
        ("payload.count", {"count": 0}, True),  # a number is never false in JMESPath
        ("payload.count", {"count": []}, False),
        ("source == 'lab' && format == 'relay'", {}, True),
        ("`false`", {}, False),
        ("@", {}, True),
    ],
)
def test_an_event_is_dropped_if_the_expression_gives_nothing(when: str, event: dict[str, Any], expected: bool) -> None:
    assert wanted(when, **event) is expected


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_format_drops_all_but_what_concerns_an_alert(name: str) -> None:
    for case in sorted(GOLDEN.glob(f"{name}/*.json")):
        if case.name.endswith((".events.json", ".headers.json")):
            continue
        payload = decode_body(case.read_bytes(), forms=READERS[name].forms)
        request = Request(payload, "lab", received_at=NOW)
        before = read_payload(READERS[name], request)
        after = read_payload(with_when(READERS[name], "`false`", DEFAULTS), request)
        assert after.drafts == [draft for draft in before.drafts if is_always_wanted(draft)]
        assert len(after.drafts) + len(after.dropped) == len(before.drafts) + len(before.dropped)
        assert after.unread == before.unread
        kept = read_payload(with_when(READERS[name], "`true`", DEFAULTS), request)
        assert kept == before


@pytest.mark.parametrize(
    "event",
    [
        {"status": "resolved"},
        {"status": "resolved", "severity": "info", "labels": {"site": "fra"}},
    ],
)
def test_an_end_is_never_dropped(event: dict[str, Any]) -> None:
    assert wanted("`false`", **event)


@pytest.mark.parametrize(
    ("said", "always"),
    [
        ({"acknowledged_by": "anna"}, True),
        ({"unacknowledged_by": "anna"}, True),
        ({"downtime": True}, True),
        ({"downtime": False}, True),
        ({"downtime": True, "status": "firing"}, False),  # it is an alert, in a downtime
        ({}, False),
    ],
)
def test_what_is_said_about_an_alert_is_never_dropped(said: dict[str, Any], always: bool) -> None:
    assert is_always_wanted(Draft(title="t", key="k", **said)) is always


def test_an_unrecognised_payload_is_never_dropped() -> None:
    found = read("`false`", {"no": "alert"}, FORMATS["alertmanager"])
    assert [draft.title for draft in found.drafts] == ["unrecognised payload from lab"]
    mixed = [{"eventType": "nothing known"}, {"eventType": "nothing known"}]
    assert len(read("`false`", mixed, FORMATS["github"]).drafts) == 1


@pytest.mark.parametrize("when", ["starts_with(labels.rack, 'r')", "length(occurred_at)", "sum(labels)"])
def test_an_event_on_which_the_expression_fails_is_kept_with_a_note(when: str) -> None:
    found = read(when, {"title": "t"})
    assert len(found.drafts) == 1
    assert found.drafts[0].notes[-1].startswith("when: the expression fails, so the event is kept: ")


def test_an_expression_that_costs_too_much_keeps_what_is_left() -> None:
    costly = "length(payload.items[].items[].items[]) > `999999`"
    nested = {"items": [{"items": [{"items": list(range(100))} for _ in range(100)]} for _ in range(40)]}
    found = read(costly, [{"title": f"t{number}", **nested} for number in range(4)])
    assert len(found.drafts) + len(found.dropped) == 4
    assert found.drafts
    assert all("steps of work" in draft.notes[-1] for draft in found.drafts)


def test_each_item_of_a_list_is_judged_by_itself() -> None:
    found = read("payload.n == `1`", [{"title": f"t{n}", "n": n} for n in range(3)] + [{"n": 1}])
    assert [draft.title for draft in found.drafts] == ["t1"]
    assert [one.draft.title for one in found.dropped if one.draft] == ["t0", "t2"]
    assert [one.index for one in found.unread] == [3]
    assert {one.why for one in found.dropped} == {"`when: payload.n == `1`` gives nothing"}


def test_a_mapping_counts_what_its_own_when_leaves_out() -> None:
    source = WebhookSettings.model_validate(
        {"type": "webhook", "map": {"title": "t", "when": "n"}, "when": "title != 'x'"}
    )
    found = read_payload(make_format("m", source), Request([{"t": "a", "n": 1}, {"t": "b"}, {"t": "x", "n": 1}], "m"))
    assert [draft.title for draft in found.drafts] == ["a"]
    assert [one.why for one in found.dropped] == ["`map.when: n` gives nothing", "`when: title != 'x'` gives nothing"]


@pytest.mark.parametrize("kind", [WebhookSettings, ApicSettings])
def test_every_type_of_source_takes_when(kind: type[SourceBase]) -> None:
    assert "when" in kind.model_fields


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("severity ==", "is not a JMESPath expression"),
        ("severity != 'info", "is not a JMESPath expression"),
        ("foo(title)", "there is no function foo()"),
        ('severity != "info"', "an event has no field 'info'"),
        ("severity != info", "write a text as 'info'"),
        ("site == 'ams'", "a label as labels.site"),
        ("contains(title, prod) && labels.x", "no field 'prod'"),
        ("serverity != 'info'", "(did you mean 'severity'?)"),
        ("label.site == 'ams'", "(did you mean 'labels'?)"),
        ("severity == 'CRITICAL'", "and never 'CRITICAL' (did you mean 'critical'?)"),
        ("title == 'x' || !(severity == 'P2')", "and never 'P2' (did you mean 'major'?)"),
        ("contains(['critical', 'high'], severity)", "and never 'high' (did you mean 'major'?)"),
        ("status == 'down'", "status is one of firing, resolved, notice, and never 'down'"),
        ("title =~ 'x'", "compare with == or !="),
        ("[severity, sevrity]", "no field 'sevrity'"),
        ("{a: level}", "no field 'level'"),
        ("links[?url == 'x'] && lables.y", "no field 'lables'"),
    ],
)
def test_a_bad_expression_is_an_error_of_check_with_its_place(when: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    source = {"type": "webhook", "when": when}
    head = "accounts: {w: {type: webex, token: {env: T}}}\nrooms: {r: {account: w, id: a}}\nroute: {rooms: [r]}\n"
    body = msgspec.json.encode(source["when"]).decode()
    file.write_text(f"{head}sources:\n  lab:\n    type: webhook\n    when: {body}\n", encoding="utf-8")
    (problem,) = adapter_problems(load(file, FORMATS))
    assert (problem.path, problem.level) == ("sources.lab.when", "error")
    assert message in problem.message
    assert str(problem).startswith(f"{file}:7:11: ")


@pytest.mark.parametrize(
    "when",
    [
        "payload.severity == 'P1'",
        "payload.rows[?status == 'down']",
        "links[?url == 'x'].text",
        "labels.a.b || @",
        "payload.items[*].n | [0]",
        "join(',', map(&url, links))",
        "labels",
    ],
)
def test_a_name_within_a_field_is_none_of_the_events_own(when: str) -> None:
    When(when, DEFAULTS)


def test_explain_shows_a_dropped_event_with_the_expression(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text(
        "accounts: {w: {type: webex, token: {env: T}}}\nrooms: {r: {account: w, id: a}}\nroute: {rooms: [r]}\n"
        "sources:\n  lab: {type: webhook, when: severity != 'info'}\n"
        "  m: {type: webhook, map: {title: t, when: n}}\n",
        encoding="utf-8",
    )
    loaded = load(file, FORMATS)
    given = b'[{"title": "a", "severity": "info"}, {"title": "b"}]'
    kept, dropped = as_json(list(explain_payload(loaded, "lab", given, NOW)))
    assert (kept["event"]["title"], kept["dropped"]) == ("b", None)
    assert (dropped["event"]["title"], dropped["suppressed"]) == ("a", "dropped")
    assert dropped["dropped"] == "`when: severity != 'info'` gives nothing"
    left_out: list[str] = []
    assert list(explain_payload(loaded, "m", b'{"t": "x"}', NOW, drops=left_out.append)) == []
    assert left_out == ["`map.when: n` gives nothing"]


def test_all_names_are_documented() -> None:
    page = (Path(__file__).parents[2] / "config" / "sources.md").read_text(encoding="utf-8")
    section = page.partition("## Only what you ask for")[2].partition("\n## ")[0]
    assert [name for name in NAMES if f"`{name}`" not in section] == []
