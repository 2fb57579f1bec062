"""Alerts that are listed together are told apart by the labels in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.delivery import Digest, DigestLine, IncidentView, Summary
from relay.core.event import Event, Link
from relay.core.naming import common_title, differences, names_of, shared, telling
from relay.core.suppression import Held
from relay.templates.rendering import TemplateRenderer
from tests.fakes.made import event

NOW = 1_800_000_000.0
CRASH = "Pod is crash looping"
RUNBOOK = Link("Runbook", "https://runbooks.example.net/crash")


def alert(title: str, *, body: str = "", links: tuple[Link, ...] = (), key: str = "", **labels: str) -> Event:
    return event(title=title, key=key or "-".join(labels.values()), labels=labels, body=body, links=links)


def group(*events: Event, more: int = 0, over: Sequence[Event] = (), named: int = 10, **labels: str) -> str:
    found = [IncidentView(one, "firing", NOW - 90.0) for one in events]
    found += [IncidentView(one, "resolved", NOW - 90.0) for one in over]
    summary = Summary(
        tuple(found[:named]), len(events) + more, len(over), NOW - 90.0, labels, unnamed=tuple(found[named:])
    )
    (text,) = TemplateRenderer({}, UTC, lambda *_: None).render(events[0], None, room="noc", summary=summary, now=NOW)
    return text


def pods(count: int, **changes: Any) -> list[Event]:
    return [
        event(
            **{"title": CRASH, "body": "See the runbook.", "links": (RUNBOOK,), **changes},
            key=f"k{n}",
            labels={"pod": f"cart-{n}", "zone": "z1"},
        )
        for n in range(count)
    ]


def lines(text: str) -> list[str]:
    return [line.removeprefix("- ").rstrip() for line in text.split("\n") if line.startswith("- ")]


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        ([alert(CRASH, pod="cart-7"), alert(CRASH, pod="pay-1")], [["cart-7"], ["pay-1"]]),
        ([alert(CRASH, pod="a1", ns="x"), alert(CRASH, pod="a1", ns="z2")], [["ns x"], ["z2"]]),
        ([alert("down", host="r1", port="1"), alert("down", host="r1", port="2")], [["port 1"], ["port 2"]]),
        ([alert("r1 down", host="r1"), alert("r2 down", host="r2")], [[], []]),
        ([alert("down", device="r1", peer="p1"), alert("down", device="r2", peer="p1")], [["r1"], ["r2"]]),
        ([alert("down", device="r1"), alert("down")], [["r1"], []]),
        ([alert("down", key="k1"), alert("down", key="k2")], [["k1"], ["k2"]]),
        (
            [alert("down", key="b7"), alert("down", key="a7"), alert("down", key="c7", pod="a7")],
            [["b7"], ["a7", "a7"], ["a7", "c7"]],
        ),
        ([alert("down", alertname="A", summary="x"), alert("down", alertname="A", summary="y")], [["x"], ["y"]]),
        ([alert("r1 or r2 down", host="r1"), alert("r1 or r2 down", host="r2")], [["r1"], ["r2"]]),
        ([alert("down", host="r1")], [[]]),
    ],
)
def test_the_fewest_labels_that_tell_alerts_apart(alerts: list[Event], expected: list[list[str]]) -> None:
    found = differences(alerts)
    if "summary" in alerts[0].labels:  # what a message shows elsewhere is no difference: the keys are
        assert found == [[one.key] for one in alerts]
    else:
        assert found == expected


@given(
    st.lists(
        st.builds(
            lambda title, key, labels: event(title=title, key=key, labels=labels),
            st.sampled_from(["down", "up on r1"]),
            st.text("ab", min_size=1, max_size=2),
            st.dictionaries(st.sampled_from(["pod", "site", "x", "y", "z", "w", "v"]), st.text("ab1 ", max_size=2)),
        ),
        min_size=2,
        max_size=8,
        unique_by=lambda one: one.key,
    )
)
def test_alerts_with_different_keys_have_different_names(alerts: list[Event]) -> None:
    assert len(set(names_of(alerts))) == len(alerts)
    assert all(len(values) <= 7 for values in differences(alerts))


def test_a_group_says_what_is_wrong_once_and_names_each_by_what_differs() -> None:
    pods = ("cart-7f9", "pay-1ab", "web-33c")
    text = group(
        *[alert(CRASH, body="See the runbook.", links=(RUNBOOK,), namespace="shop", pod=pod) for pod in pods],
        namespace="shop",
    )
    first, _, *rest = text.split("\n")
    assert first.rstrip() == f"🟠 **3 firing** · {CRASH} · worst MAJOR · namespace shop"
    assert lines(text) == [f"🟠 {pod} · 1 min" for pod in pods]
    assert [line.rstrip() for line in rest[:2]] == ["See the runbook.", f"[Runbook]({RUNBOOK.url})"]
    assert text.count(CRASH) == text.count("namespace shop") == 1


def test_links_and_bodies_that_differ_stay_with_their_alerts() -> None:
    graphs = [Link("Graph", f"https://g.example.net/{n}") for n in range(2)]
    text = group(*[alert("Disk full", body=f"{n} left", links=(graphs[n],), host=f"h{n}x") for n in range(2)])
    assert lines(text) == [f"🟠 h{n}x · 1 min · [Graph]({graphs[n].url})" for n in range(2)]
    assert "left" not in text


def test_a_common_alertname_is_the_problem_of_different_titles() -> None:
    two = [alert("500s on a", alertname="Errors", service="a"), alert("500s on b", alertname="Errors", service="b")]
    assert common_title(two) == "Errors"
    assert group(*two).startswith("🟠 **2 firing** · Errors · worst MAJOR")
    assert common_title([two[0], alert("else", service="c")]) == ""


def test_nothing_is_called_common_while_some_are_not_named() -> None:
    text = group(*[alert(CRASH, pod=f"p{n}", zone="z1") for n in range(2)], more=5)
    assert text.startswith("🟠 **7 firing** · worst MAJOR  \n")
    assert lines(text) == [f"🟠 {CRASH} · p{n} · 1 min" for n in range(2)] + ["and 5 more"]


@pytest.mark.parametrize("count", [2, 10, 11, 30, 500])
def test_a_group_of_any_size_says_what_all_have_in_common(count: int) -> None:
    text = group(*pods(count))
    assert text.split("  \n")[0] == f"🟠 **{count} firing** · {CRASH} · worst MAJOR · zone z1"
    assert text.split("  \n")[2:4] == ["See the runbook.", f"[Runbook]({RUNBOOK.url})"]
    assert lines(text)[: min(count, 10)] == [f"🟠 cart-{n} · 1 min" for n in range(min(count, 10))]
    assert text.count(CRASH) == text.count("Runbook]") == 1


@pytest.mark.parametrize("named", [3, 10])
def test_one_that_differs_takes_what_was_common_from_the_head_even_if_it_is_not_named(named: int) -> None:
    other = event(title="Disk full", key="d", labels={"pod": "db-1", "zone": "z2"})
    text = group(*pods(3), other, named=named)
    assert text.split("  \n")[0] == "🟠 **4 firing** · worst MAJOR"
    assert "See the runbook" not in text
    assert f"🟠 {CRASH} · cart-0 · " in "".join(lines(text))


def test_what_has_ended_does_not_take_the_description_of_what_still_fires() -> None:
    over = pods(2, title="Pod is ready", body="OK", links=(), status="resolved", occurred_at=NOW - 30.0)
    text = group(*pods(3)[2:], over=over)
    assert text.split("  \n")[0] == f"🟠 **1 firing, 2 ended** · {CRASH} · worst MAJOR · zone z1"
    assert text.split("  \n")[2:4] == ["See the runbook.", f"[Runbook]({RUNBOOK.url})"]
    assert lines(text) == [
        "🟠 cart-2 · 1 min",
        "✅ Pod is ready · cart-0 · lasted 1 min",
        "✅ Pod is ready · cart-1 · lasted 1 min",
    ]


def test_what_was_done_to_one_of_a_group_stands_in_its_line() -> None:
    one, other = pods(2)
    text = group(one, msgspec.structs.replace(other, done="note: rolled back"))
    assert lines(text) == ["🟠 cart-0 · 1 min", "🟠 cart-1 · 1 min · ✎ note: rolled back"]


def test_a_group_that_is_silenced_altogether_says_so_in_its_head() -> None:
    held = tuple(IncidentView(one, "firing", NOW, held=Held("silenced", "s1")) for one in pods(2))
    for firing, head in ((held, "🔕 **2 firing** · "), ((held[0], IncidentView(pods(2)[1], "firing", NOW)), "🟠 **2")):
        summary = Summary(firing, 2, 0, NOW)
        renderer = TemplateRenderer({}, UTC, lambda *_: None)
        (text,) = renderer.render(pods(1)[0], None, room="noc", summary=summary, now=NOW)
        assert text.startswith(head)
        assert ("all silenced" in text) == (firing == held)


def test_a_digest_tells_alerts_with_one_title_apart() -> None:
    found = tuple(DigestLine(1, "firing", one, NOW) for one in pods(12))
    summary = Summary((), 12, 0, NOW, digest=Digest(((1, "fabric", 12),), found, NOW, NOW, over=False))
    (text,) = TemplateRenderer({}, UTC, lambda *_: None).render(pods(1)[0], None, room="noc", summary=summary, now=NOW)
    assert lines(text) == [f"🟠 {CRASH} (cart-{n})" for n in range(10)] + ["and 2 more"]


def test_labels_that_all_share() -> None:
    assert shared([{"pod": "a", "site": "s", "severity": "x"}, {"pod": "b", "site": "s", "severity": "x"}]) == {
        "site": "s"
    }
    assert telling({"site": "s1", "port": "7", "severity": "major", "host": "r1"}, "r1 is down") == ["s1", "port 7"]
