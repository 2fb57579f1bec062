from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from relay.core.delivery import Ack, Digest, DigestLine, IncidentView, Summary
from relay.core.event import Event, Link
from relay.core.markdown import WEBEX_MAX_BYTES
from relay.templates.bounds import TemplateError
from relay.templates.environment import MarkdownEnvironment
from relay.templates.rendering import TemplateRenderer, compile_template
from tests.fakes.made import event, harmful

COMMONMARK = MarkdownIt("commonmark")
NOW = 1_772_331_000.0

hostile = st.builds(
    event,
    title=harmful.filter(str.strip),
    body=st.tuples(harmful, st.sampled_from([1, 3, 40])).map(lambda pair: pair[0] * pair[1]),
    labels=st.dictionaries(st.sampled_from(["site", "pod", "severity", "x"]), harmful),
    status=st.sampled_from(["firing", "resolved", "notice"]),
    severity=st.sampled_from(["critical", "info"]),
    source=st.just("fabric"),
    links=st.lists(st.builds(Link, harmful, st.just("https://example.org/") | harmful), max_size=3).map(tuple),
    occurred_at=st.floats(NOW - 90_000, NOW),
    received_at=st.floats(NOW - 9_000, NOW),
)


def standing(*values: Any, **named: Any) -> Summary:
    told = IncidentView(*values, **named)
    firing = int(told.state == "firing")
    return Summary((told,), firing, 1 - firing, told.started_at)


def renderer(failures: list[tuple[str, str]] | None = None, **sources: str) -> TemplateRenderer:
    def failed(template: str, _event: str, error: str) -> None:
        if failures is not None:
            failures.append((template, error))

    return TemplateRenderer(sources, ZoneInfo("Europe/Amsterdam"), failed)


def render(one: Event, template: str | None = None, **sources: str) -> list[str]:
    failures: list[tuple[str, str]] = []
    texts = renderer(failures, **sources).render(one, template, room="noc", summary=None, now=NOW)
    assert failures == []
    return texts


def kinds(texts: list[str]) -> set[str]:
    seen = [token for text in texts for token in COMMONMARK.parse(text)]
    return {one.type for token in seen for one in (token, *(token.children or []))}


def test_a_message_says_it_all_in_its_first_line() -> None:
    one = event(
        severity="critical",
        title="port-down on node-101",
        body="usage is infra",
        labels={"pod": "pod-1", "team": "dc"},
        links=(Link("APIC", "https://apic1.example.net/"),),
        occurred_at=NOW,
        received_at=NOW,
    )
    assert render(one) == [
        "🔴 **CRITICAL** · port-down on node-101  \n"
        "fabric · pod-1 · dc · since 03:10 CET  \n"
        "usage is infra  \n"
        "[APIC](https://apic1.example.net/)"
    ]


def test_an_end_says_how_long_it_lasted_and_what_it_was() -> None:
    one = event(status="resolved", occurred_at=NOW, received_at=NOW)
    (text,) = renderer().render(one, None, room="noc", summary=standing(one, "resolved", NOW - 840), now=NOW)
    assert text == "✅ **resolved** · port-down on node-7 · lasted 14 min  \nfabric · 02:56–03:10 CET · was MAJOR"


LATE_ONES = [
    None,
    standing(event(), "firing", NOW - 840),
    Summary(tuple(IncidentView(event(key=key), "firing", NOW - 840) for key in "ab"), 2, 0, NOW - 840),
    Summary((), 0, 0, NOW, digest=Digest(((1, "fabric", 9),), (), NOW - 840, NOW, over=False)),
]


@pytest.mark.parametrize("summary", LATE_ONES, ids=["notice", "alert", "group", "digest"])
def test_a_message_that_waited_says_so_and_an_old_alert_alone_is_not_late(summary: Summary | None) -> None:
    one = event(occurred_at=NOW - 9_000, received_at=NOW - 9_000)
    told, late = (
        renderer().render(one, None, room="noc", summary=summary, now=NOW, behind=behind)[0].split("  \n")
        for behind in (119.0, 840.0)
    )
    assert late[1] == f"{told[1]} · posted 14 min late"
    assert (late[0], late[2:]) == (told[0], told[2:])
    assert "late" not in told[1]


def test_of_a_long_body_six_lines_are_shown_and_the_rest_stands_in_the_thread() -> None:
    first, rest = render(event(body="\n".join(f"line {n}" for n in range(1, 10))))
    assert [n for n in range(1, 10) if f"line {n}" in first] == [1, 2, 3, 4, 5, 6]
    assert rest == "line 7  \nline 8  \nline 9  \n(2/2)"


@given(hostile, st.none() | st.floats(NOW - 1e6, NOW))
def test_whatever_an_event_says_a_message_is_bold_words_text_and_links(one: Event, since: float | None) -> None:
    told = None if since is None else standing(one, "resolved" if one.status == "resolved" else "firing", since)
    failures: list[tuple[str, str]] = []
    texts = renderer(failures).render(one, None, room="noc", summary=told, now=NOW)
    assert failures == []
    assert kinds(texts) <= {
        "paragraph_open",
        "paragraph_close",
        "inline",
        "text",
        "softbreak",
        "hardbreak",
        "strong_open",
        "strong_close",
        "link_open",
        "link_close",
    }
    assert all(len(text.encode()) <= WEBEX_MAX_BYTES and text.strip() for text in texts)
    assert not any("<" in text for text in texts)
    assert texts[0].startswith(("🔴 **CRITICAL** · ", "⚪ **INFO** · ", "✅ **resolved** · "))


@pytest.mark.parametrize(
    "template",
    [
        "x {{ title }} y",
        "**bold** {{ event.title }} {{ labels | join(', ') }}",
        "{{ 'a ' ~ title ~ ' b' }}",
        "{% set t = title %}{{ t }}",
        "{% set t %}x {{ title }}{% endset %}{{ t }}",
        "{% macro m(x) %}**x** {{ x }}{% endmacro %}{{ m(title) }} {{ m(title) ~ title }}",
        "{% for name, value in labels.items() %}\n- x {{ value }} {{ name }}\n{% endfor %}",
        "x {{ title | upper }} {{ title | replace('a', '<b>') }} {{ title | truncate(20) }} {{ "
        "[title, sign] | join(' ') }}",
        "{{ sign ~ title }} {{ facts ~ title }}",
        "x {{ '%s' % title }} {{ '{}'.format(title) }} {{ sign.format(title) }} {{ [sign, title] | "
        "sum(start='') if false }}",
        "{{ title | default('x') }} {{ (title, title) | first }}",
        "x {% filter upper %}{{ title }}{% endfilter %}",
        "{% macro m() %}x {{ caller() }}{% endmacro %}{% call m() %}{{ title }}{% endcall %}",
    ],
)
@settings(max_examples=40)
@given(hostile)
def test_no_operators_template_lets_an_event_write_markup(template: str, one: Event) -> None:
    texts = renderer(t=template).render(one, "t", room="noc", summary=None, now=NOW)
    assert not any("<" in text for text in texts)
    assert not kinds(texts) & {
        "code_inline",
        "fence",
        "code_block",
        "html_inline",
        "html_block",
        "image",
        "heading_open",
    }


@given(hostile)
def test_code_in_a_template_stays_code(one: Event) -> None:
    texts = render(one, "t", t="x {{ title | code }}\n\n{{ body | fenced }}")
    assert (
        {"code_inline", "fence"}
        <= kinds(texts)
        <= {"paragraph_open", "paragraph_close", "inline", "text", "code_inline", "fence", "hardbreak", "softbreak"}
    )
    assert not any("<@" in text for text in texts)


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{{ nothing }}", "UndefinedError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ title.__class__.__mro__ }}", "SecurityError"),
        ("  \n", "expected some text, found none: the template writes nothing"),
        ("{{ range(1000000) | list }}", "OverflowError"),
    ],
)
def test_a_template_that_fails_is_told_and_the_built_in_message_goes_out(template: str, error: str) -> None:
    failures: list[tuple[str, str]] = []
    texts = renderer(failures, t=template).render(event(), "t", room="noc", summary=None, now=NOW)
    assert texts == render(event())
    ((name, said),) = failures
    assert name == "t"
    assert error in said


def test_an_unknown_template_gives_the_built_in_message() -> None:
    assert renderer().render(event(), "gone", room="noc", summary=None, now=NOW) == render(event())


def test_a_template_that_writes_without_end_is_cut() -> None:
    texts = render(event(), "t", t="{% for n in range(99999) %}word {{ n }} {% endfor %}")
    assert sum(map(len, texts)) < 70_000


@pytest.mark.parametrize(("text", "line"), [("{{ a", 1), ("ok\n{% if %}", 2), ("{% nope %}", 1), ("{{ x | nope }}", 1)])
def test_a_template_that_cannot_be_read_is_told_with_its_line(text: str, line: int) -> None:
    with pytest.raises(TemplateError, match=f"template t, line {line}: "):
        compile_template(MarkdownEnvironment(), "t", text)


def test_a_message_of_an_event_at_the_edge_of_time_is_rendered() -> None:
    for at in (-62_135_510_400.0, 253_402_214_400.0):
        assert renderer().render(event(occurred_at=at), None, room="noc", summary=None, now=NOW)


def test_a_flapping_alert_says_how_it_flaps_and_neither_up_nor_down() -> None:
    one = event(status="resolved", title="tunnel to fra1", source="prometheus", received_at=NOW)
    told = standing(one, "resolved", NOW - 900, tuple(NOW - 1_200 + 150 * n for n in range(9)), quiet=True)
    (text,) = renderer().render(one, None, room="noc", summary=told, now=NOW)
    assert text == (
        "🟠 **MAJOR** · tunnel to fra1 flapping: 9 changes in 20 min  \nprometheus · quiet until it holds for 10 min"
    )


def group(*told: IncidentView, firing: int, ended: int = 0) -> Summary:
    return Summary(told, firing, ended, NOW - 840, {"site": "ams1", "source": "fabric"})


def test_a_group_is_told_worst_first_with_a_count_of_the_rest() -> None:
    down = IncidentView(event(title="core down", severity="critical", occurred_at=NOW), "firing", NOW - 540)
    full = IncidentView(
        event(title="disk *full*", labels={}, occurred_at=NOW), "firing", NOW - 240, ack=Ack("anna", NOW)
    )
    over = IncidentView(event(title="BGP", status="resolved", occurred_at=NOW - 60), "resolved", NOW - 240)
    standing = group(down, full, over, firing=12, ended=3)
    (text,) = renderer().render(event(), None, room="noc", summary=standing, now=NOW)
    assert text.split("  \n") == [
        "🔴 **12 firing, 3 ended** · worst CRITICAL · site ams1",
        "fabric · since 02:56 CET · changed 03:10",
        "- 🔴 core down · 9 min",
        "- 🟠 disk \\*full\\* · 4 min · 👤 anna",
        "- ✅ BGP · lasted 3 min",
        "- and 12 more",
    ]


def test_a_group_that_is_over_says_so() -> None:
    over = IncidentView(event(status="resolved", occurred_at=NOW), "expired", NOW - 840)
    (text,) = renderer().render(event(), None, room="noc", summary=group(over, over, firing=0, ended=2), now=NOW)
    assert text.startswith("⌛ **all 2 expired** · port-down on node-7 · site ams1 · lasted 14 min")


def test_a_template_that_asks_for_incidents_is_for_groups_and_another_for_events() -> None:
    one, many = "one {{ title }}", "{{ firing }} of {{ incidents | map(attribute='title') | join(', ') }}"
    told = IncidentView(event(), "firing", NOW)
    several, single = group(told, told, firing=2), group(told, firing=1)
    texts = renderer(one=one, many=many)
    assert texts.render(event(), "many", room="noc", summary=several, now=NOW)[0].startswith("2 of port-down")
    assert texts.render(event(), "many", room="noc", summary=single, now=NOW)[0].startswith("🟠 **MAJOR**")
    assert texts.render(event(), "one", room="noc", summary=single, now=NOW)[0].startswith("one port-down")
    assert texts.render(event(), "one", room="noc", summary=several, now=NOW)[0].startswith("🟠 **2 firing**")


def test_mentions_stand_in_a_line_of_their_own_and_never_lose_their_place() -> None:
    long = event(title="t", body="\n".join("word " * 60 for _ in range(6)), labels={f"l{n}": "v" for n in range(9)})
    standing = group(IncidentView(long, "firing", NOW), firing=1)
    emails = ("anna@example.net", "ben@example.net")
    text, *_ = renderer(huge="{{ body }}" * 10).render(
        long, "huge", room="noc", summary=standing, now=NOW, mention=emails
    )
    assert text.endswith("  \n<@personEmail:anna@example.net> <@personEmail:ben@example.net>")
    assert len(text.encode()) <= WEBEX_MAX_BYTES


titles = st.lists(harmful.filter(str.strip), min_size=2, max_size=10)


@given(titles, st.sampled_from(["firing", "resolved"]))
def test_whatever_alerts_are_called_a_group_is_bold_words_lists_and_text(names: list[str], state: Any) -> None:
    incidents = [IncidentView(event(title=name, labels={"x": name}), state, NOW) for name in names]
    firing = len(names) if state == "firing" else 0
    standing = Summary(tuple(incidents), firing, len(names) - firing, NOW, {"site": names[0]})
    failures: list[tuple[str, str]] = []
    texts = renderer(failures).render(event(), None, room="noc", summary=standing, now=NOW)
    assert failures == []
    assert not any("<" in text for text in texts)
    allowed = {"paragraph", "strong", "bullet_list", "list_item", "link"}
    assert {kind.removesuffix("_open").removesuffix("_close") for kind in kinds(texts)} <= {
        *allowed,
        "inline",
        "text",
        "softbreak",
        "hardbreak",
    }


@given(st.lists(st.tuples(harmful, st.integers(0, 4), st.sampled_from(["firing", "resolved", "notice"])), min_size=1))
def test_whatever_a_storm_brings_its_digest_fits_and_its_list_has_a_line_for_each(
    found: list[tuple[str, int, Any]],
) -> None:
    lines = tuple(DigestLine(rank, state, event(title=title or "x"), NOW) for title, rank, state in found)
    digest = Digest(tuple((line.rank, "fabric", 1) for line in lines), lines * 40, NOW - 10, NOW, over=True)
    standing = msgspec.structs.replace(Summary((), 0, 0, NOW), digest=digest)
    (text,) = renderer().render(event(), None, room="noc", summary=standing, now=NOW)
    assert text.startswith("🌊 **Storm over** · ")
    assert len(text.encode()) <= WEBEX_MAX_BYTES
    assert "<" not in text
    assert len(renderer().listing(lines).splitlines()) == len(lines)
