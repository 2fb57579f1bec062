from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.event import Draft, Link, SourceDefaults, stamp
from relay.formats import FORMATS
from relay.formats.batch import read_payload
from relay.formats.contract import Request


def read(payload: Any) -> list[Draft]:
    return read_payload(FORMATS["alertmanager"], Request(payload=payload, source="prometheus")).drafts


def one(**alert: Any) -> Draft:
    (draft,) = read({"version": "4", "alerts": [{"status": "firing", **alert}]})
    return draft


def test_each_alert_of_a_group_is_an_event_with_its_own_status() -> None:
    drafts = read({"status": "firing", "alerts": [{"status": "firing"}, {"status": "resolved"}]})
    assert [draft.status for draft in drafts] == ["firing", "resolved"]


@pytest.mark.parametrize(
    ("labels", "annotations", "title"),
    [
        ({"alertname": "DiskFull", "instance": "db-1"}, {}, "DiskFull: db-1"),
        (
            {"alertname": "DiskFull", "instance": "db-1"},
            {"summary": "disk of db-1 is full"},
            "DiskFull: disk of db-1 is full",
        ),
        ({"alertname": "DiskFull"}, {"summary": "diskfull on db-1"}, "diskfull on db-1"),
        ({"alertname": "DiskFull"}, {"title": "a title"}, "DiskFull: a title"),
        ({"alertname": "DiskFull"}, {}, "DiskFull"),
        ({}, {}, "alert without a name"),
    ],
)
def test_the_title_says_what_and_where(labels: dict[str, str], annotations: dict[str, str], title: str) -> None:
    assert one(labels=labels, annotations=annotations).title == title


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", "critical"),
        ("page", "critical"),
        ("Error", "major"),
        ("HIGH", "major"),
        ("warn", "warning"),
        ("none", "info"),
        ("CRITICAL", "critical"),
    ],
)
def test_the_usual_words_for_severities_are_known(word: str, severity: str) -> None:
    draft = one(labels={"severity": word})
    assert stamp(draft, SourceDefaults(source="s", format="alertmanager"), "e", 0.0).severity == severity


labels = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4)


@given(labels, labels)
def test_alerts_without_a_fingerprint_are_matched_by_their_labels(mine: dict[str, str], other: dict[str, str]) -> None:
    began, ended = one(labels=mine), one(labels=dict(reversed(mine.items())), status="resolved")
    assert began.key == ended.key
    assert (one(labels=other).key == began.key) is (other == mine)


def test_a_fingerprint_is_the_key() -> None:
    assert one(fingerprint="abc", labels={"a": "b"}).key == "abc"


def test_times_are_the_beginnings_and_the_ends_and_gos_zero_time_is_none() -> None:
    times = {"startsAt": "2026-03-01T02:10:00.123456789Z", "endsAt": "0001-01-01T00:00:00Z"}
    assert one(**times).occurred_at == pytest.approx(1_772_331_000.123, abs=1e-3)
    assert one(**times, status="resolved").occurred_at is None
    assert one(startsAt="soon").occurred_at is None


def test_links_are_named_and_only_addresses_are_links() -> None:
    (draft,) = read(
        {
            "externalURL": "https://am.example.org",
            "alerts": [
                {
                    "status": "firing",
                    "generatorURL": "https://p.example.org/g",
                    "annotations": {"runbook_url": "javascript:x"},
                }
            ],
        }
    )
    assert draft.links == (Link("Graph", "https://p.example.org/g"), Link("Alertmanager", "https://am.example.org"))


def test_alerts_that_were_left_out_are_told() -> None:
    drafts = read({"alerts": [{"status": "firing"}], "truncatedAlerts": 12})
    assert [draft.title for draft in drafts][1:] == ["12 more alerts were left out by Alertmanager"]


@pytest.mark.parametrize(
    "payload", [None, [], "x", {}, {"alerts": {}}, {"alerts": [5]}, {"alerts": [{"status": "unknown"}]}]
)
def test_what_is_no_group_of_alerts_becomes_a_notice(payload: Any) -> None:
    (draft,) = read(payload)
    assert (draft.title, draft.status) == ("unrecognised payload from prometheus", "notice")
    assert draft.notes


def test_labels_that_are_no_texts_are_written_as_texts() -> None:
    assert one(labels={"a": 1, "b": None, "c": [1]}).labels == {"a": "1", "b": "", "c": "[1]"}
    assert one(labels="x", annotations=5).labels == {}
