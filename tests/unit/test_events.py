from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.alert import fold
from relay.core.event import (
    MAX_ANNOTATION,
    MAX_BODY,
    MAX_FILES,
    MAX_KEY,
    MAX_LABEL_VALUE,
    MAX_LABELS,
    MAX_LINKS,
    MAX_TITLE,
    RANK,
    SEVERITIES,
    UNTITLED,
    Draft,
    Link,
    SourceDefaults,
    stamp,
)
from relay.core.severity import NO_TROUBLE

DEFAULTS = SourceDefaults(source="cameras", format="map", severity="minor", labels={"site": "ams", "team": "video"})
lengths = st.integers(0, 70_000)


def test_severities_are_ranked_worst_first() -> None:
    assert sorted(SEVERITIES, key=RANK.__getitem__) == ["critical", "major", "minor", "warning", "info"]


def test_a_draft_takes_what_it_lacks_from_its_source_and_the_intake() -> None:
    event = stamp(Draft(title="no picture"), DEFAULTS, "e7", 50.0)
    assert (event.id, event.source, event.format, event.key) == ("e7", "cameras", "map", "e7")
    assert (event.severity, event.severity_given, event.status) == ("minor", False, "notice")
    assert (event.occurred_at, event.received_at) == (50.0, 50.0)
    assert event.labels == {"site": "ams", "team": "video"}


def test_what_a_draft_says_itself_wins() -> None:
    draft = Draft(title="t", severity="major", key="k", labels={"site": "fra"}, occurred_at=0.0, status="firing")
    event = stamp(draft, DEFAULTS, "e7", 50.0)
    assert (event.severity, event.severity_given, event.key, event.status) == ("major", True, "k", "firing")
    assert (event.occurred_at, event.received_at) == (0.0, 50.0)
    assert event.labels == {"site": "fra", "team": "video"}


@pytest.mark.parametrize("word", ["critical", "Critical", " CRITICAL ", "cRiTiCaL\n"])
def test_a_severity_is_known_however_it_is_written(word: str) -> None:
    assert stamp(Draft(title="t", severity=word), DEFAULTS, "e", 0.0).severity == "critical"


def test_an_unknown_severity_takes_the_sources_stays_as_a_label_and_leaves_a_note() -> None:
    event = stamp(Draft(title="t", severity="Mauve"), DEFAULTS, "e", 0.0)
    assert (event.severity, event.severity_given, event.labels["severity"]) == ("minor", False, "mauve")
    assert event.notes == ("severity 'mauve' is not known; the source's default, minor, is used",)
    kept = stamp(Draft(title="t", severity="Mauve", labels={"severity": "own"}), DEFAULTS, "e", 0.0)
    assert kept.labels["severity"] == "own"


def test_a_foreign_word_stays_as_a_label_beside_the_severity_that_it_means() -> None:
    event = stamp(Draft(title="t", severity="P1"), DEFAULTS, "e", 0.0)
    assert (event.severity, event.severity_given, event.labels["severity"]) == ("critical", True, "p1")
    assert event.notes == ()


@pytest.mark.parametrize("word", sorted(NO_TROUBLE))
def test_a_word_for_how_things_are_after_the_end_is_no_severity_of_what_ended(word: str) -> None:
    ended = stamp(Draft(title="t", status="resolved", key="k", severity=word), DEFAULTS, "e", 0.0)
    assert (ended.severity_given, ended.notes) == (False, ())
    assert stamp(Draft(title="t", severity=word), DEFAULTS, "e", 0.0).severity == "info"


@pytest.mark.parametrize("word", ["", "  ", None])
def test_no_severity_leaves_no_label(word: str | None) -> None:
    assert "severity" not in stamp(Draft(title="t", severity=word), DEFAULTS, "e", 0.0).labels


@given(lengths, lengths, st.integers(0, 150), lengths, st.integers(0, 30), st.integers(0, 30))
def test_every_event_is_within_the_bounds_and_says_where_it_was_cut(
    title: int, body: int, labels: int, value: int, links: int, files: int
) -> None:
    draft = Draft(
        title="t" * title,
        body="b" * body,
        labels={f"n{number}": "v" * value for number in range(labels)},
        links=(Link("x", "https://example.org"),) * links,
        files=("https://example.org/f",) * files,
        notes=("first",),
    )
    event = stamp(draft, SourceDefaults(source="s", format="relay"), "e", 0.0)
    assert len(event.title) == (min(title, MAX_TITLE) or len(UNTITLED))
    assert len(event.body) == min(body, MAX_BODY)
    assert len(event.labels) == min(labels, MAX_LABELS)
    assert all(len(text) == min(value, MAX_LABEL_VALUE) for text in event.labels.values())
    assert len(event.links) == min(links, MAX_LINKS)
    assert len(event.files) == min(files, MAX_FILES)
    over = title > MAX_TITLE or body > MAX_BODY or labels > MAX_LABELS or links > MAX_LINKS or files > MAX_FILES
    over = over or (labels > 0 and value > MAX_LABEL_VALUE)
    assert event.notes[0] == "first"
    assert len(event.notes) == (2 if over else 1)


def test_a_long_labels_name_is_bounded_too() -> None:
    event = stamp(Draft(title="t", labels={"n" * 100_000: "v"}), DEFAULTS, "e", 0.0)
    assert event.notes
    assert all(len(name) <= MAX_LABEL_VALUE for name in event.labels)


def test_two_long_keys_that_differ_at_their_ends_stay_two() -> None:
    one = stamp(Draft(title="t", key="k" * 100_000 + "1"), DEFAULTS, "e", 0.0)
    two = stamp(Draft(title="t", key="k" * 100_000 + "2"), DEFAULTS, "e", 0.0)
    assert one.key != two.key


def test_long_keys_stay_apart() -> None:
    first, second = (stamp(Draft(title="t", key="k" * 5_000 + end), DEFAULTS, "e7", 50.0) for end in "ab")
    assert first.key != second.key
    assert max(len(first.key), len(second.key)) <= MAX_KEY
    assert stamp(Draft(title="t", key="k" * MAX_KEY), DEFAULTS, "e7", 50.0).key == "k" * MAX_KEY


@given(
    st.integers(0, 3 * MAX_LABELS), st.sampled_from((0, MAX_ANNOTATION, MAX_ANNOTATION + 1)), st.integers(1, MAX_TITLE)
)
def test_annotations_are_bounded_and_what_fits_stays_whole(count: int, length: int, title: int) -> None:
    given = {f"note{number}": "x" * length for number in range(count)}
    event = stamp(Draft(title="t" * title, annotations=given), DEFAULTS, "e", 0.0)
    assert len(event.annotations) == min(count, MAX_LABELS)
    assert all(len(text) == min(length, MAX_ANNOTATION) for text in event.annotations.values())
    assert bool(event.notes) == (event.annotations != given)


WIKI, GRAPH = "https://wiki.example.org/x", "https://graphs.example.org/x"
OWN = {"summary": "s", "runbook_url": WIKI}


@pytest.mark.parametrize(
    ("said", "annotations", "generator_url"),
    [
        ({}, {}, ""),
        ({"body": "b"}, {"description": "b"}, ""),
        ({"body": "b", "annotations": OWN}, OWN, ""),
        ({"links": (Link("Graph", GRAPH), Link("Runbook", WIKI))}, {"runbook_url": WIKI}, GRAPH),
        ({"links": (Link("Runbook", WIKI),)}, {"runbook_url": WIKI}, ""),
        ({"links": (Link("Graph", GRAPH), Link("Runbook", WIKI)), "annotations": OWN}, OWN, GRAPH),
        ({"links": (Link("A", GRAPH), Link("Wand-Foto (7)!", WIKI))}, {"wand_foto_7_url": WIKI}, GRAPH),
    ],
)
def test_an_alert_has_the_annotations_of_its_event_or_its_text_and_links(
    said: dict[str, Any], annotations: dict[str, str], generator_url: str
) -> None:
    draft = Draft(title="t", status="firing", key="k", **said)
    alert = fold(stamp(draft, DEFAULTS, "e", 0.0), None, 0.0)
    assert alert is not None
    assert (alert.annotations, alert.generator_url) == (annotations, generator_url)
    silent = fold(stamp(Draft(title="t", status="firing", key="k"), DEFAULTS, "e2", 1.0), alert, 1.0)
    assert silent is not None
    assert (silent.annotations, silent.generator_url) == (annotations, generator_url)


@pytest.mark.parametrize(
    ("said", "annotations", "generator_url"),
    [
        ({"body": "new"}, {"description": "new", "runbook_url": WIKI}, GRAPH),
        ({"links": (Link("Graph", "https://g.example.org/2"),)}, {"description": "old"}, "https://g.example.org/2"),
        ({"cleared": ("body",)}, {"runbook_url": WIKI}, GRAPH),
        ({"cleared": ("links",)}, {"description": "old"}, ""),
        ({"annotations": {"summary": "s"}}, {"summary": "s"}, GRAPH),
    ],
)
def test_an_update_keeps_the_annotations_that_it_does_not_change(
    said: dict[str, Any], annotations: dict[str, str], generator_url: str
) -> None:
    links = (Link("Graph", GRAPH), Link("Runbook", WIKI))
    first = Draft(title="t", status="firing", key="k", body="old", links=links)
    known = fold(stamp(first, DEFAULTS, "e", 0.0), None, 0.0)
    alert = fold(stamp(Draft(title="t", status="firing", key="k", **said), DEFAULTS, "e2", 1.0), known, 1.0)
    assert alert is not None
    assert (alert.annotations, alert.generator_url) == (annotations, generator_url)
