"""One table of severity words for all: formats, mappings, the relay's own JSON and `relay map try`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from relay.app.assembly.reading import make_format
from relay.app.trial.mapping_trial import MappingTrial, proposal
from relay.cli import app
from relay.core.event import Event, SourceDefaults, has_unknown_severity, stamp
from relay.core.severity import FOREIGN, RANK, SEVERITIES, WORDS, severity_of
from relay.formats import FORMATS, Request
from relay.formats.batch import read_payload
from relay.formats.mapping import MappingSettings, make_mapping
from relay.settings.sources import AlertmanagerApiSettings

SPELLINGS: tuple[Callable[[str], str], ...] = (str, str.upper, str.title, lambda word: f" {word}\n")
TABLE = [(word, severity) for severity, words in FOREIGN.items() for word in (severity, *words)]


def alerts(word: str) -> dict[str, Any]:
    labels = {"alertname": "LockStuck", "severity": word}
    return {"version": "4", "alerts": [{"status": "firing", "labels": labels, "fingerprint": "f"}]}


SAMPLES: dict[str, Callable[[str], Any]] = {
    "relay": lambda word: {"title": "lock is stuck", "severity": word},
    "alertmanager": alerts,
    "alertmanager-api": lambda word: [{"labels": {"alertname": "LockStuck", "severity": word}}],
    "grafana": alerts,
    "grafana, before alerting": lambda word: {"state": "alerting", "ruleName": "lock", "tags": {"severity": word}},
    "map": lambda word: {"t": "lock is stuck", "s": word},
    "apic": lambda word: {
        "imdata": [{"faultInst": {"attributes": {"dn": "a/fault-F1", "severity": word, "status": "created"}}}]
    },
    "aws-sns": lambda word: {"TopicArn": "a:b:c", "Message": json.dumps({"title": "lock", "severity": word})},
    "azure-monitor": lambda word: {"data": {"essentials": {"alertRule": "lock", "severity": word}}},
    "azure-monitor, before": lambda word: {"status": "Activated", "context": {"name": "lock", "level": word}},
    "catalyst-center": lambda word: {
        "eventId": "E-1",
        "instanceId": "i",
        "details": {"Assurance Issue Priority": word},
    },
    "catalyst-sdwan": lambda word: {"rulename": "lock", "severity": word, "active": True, "uuid": "u"},
    "cisco-meraki": lambda word: {"alertTypeId": "gate_down", "alertType": "Gate down", "alertLevel": word},
    "datadog": lambda word: {"title": "lock", "alert_transition": "Triggered", "alert_type": word},
    "github": lambda word: {
        "action": "created",
        "repository": {"full_name": "harbour/locks"},
        "alert": {"number": 1, "rule": {"severity": word, "description": "d", "id": "r"}},
    },
    "gitlab": lambda word: {
        "object_kind": "vulnerability",
        "object_attributes": {"title": "lock", "state": "detected", "severity": word},
    },
    "home-assistant": lambda word: {
        "type": "event",
        "event": {"event_type": "system_log_event", "data": {"name": "lock", "level": word}},
    },
    "google-cloud": lambda word: {"incident": {"condition_name": "lock", "state": "open", "severity": word}},
    "intersight": lambda word: {
        "ClassId": "mo.WebhookResult",
        "Operation": "Created",
        "EventObjectType": "cond.Alarm",
        "Event": {"ObjectType": "cond.Alarm", "Moid": "m", "Severity": word},
    },
    "jira": lambda word: {
        "webhookEvent": "jira:issue_created",
        "issue": {"key": "L-1", "fields": {"summary": "lock", "priority": {"name": word}}},
    },
    "kibana": lambda word: {
        "rule": {"name": "lock", "id": "r"},
        "alert": {"id": "a"},
        "context": {"severity": word},
    },
    "kibana, a detection": lambda word: {"kibana.alert.rule.name": "lock", "kibana.alert.severity": word},
    "kibana, a watch": lambda word: {"watch_id": "lock", "metadata": {"severity": word}},
    "librenms": lambda word: {"title": "lock", "state": "1", "severity": word, "rule_id": "1", "device_id": "2"},
    "newrelic": lambda word: {"title": "lock", "id": "i", "state": "ACTIVATED", "priority": word},
    "opsgenie": lambda word: {"action": "Create", "alert": {"message": "lock", "alias": "a", "priority": word}},
    "pagerduty": lambda word: {
        "event": {
            "event_type": "incident.triggered",
            "data": {"id": "P", "title": "lock", "urgency": "low", "priority": {"summary": word}},
        },
    },
    "sentry": lambda word: {"action": "created", "data": {"issue": {"id": "1", "title": "lock", "level": word}}},
    "servicenow": lambda word: {"number": "INC1", "short_description": "lock", "state": "1", "priority": word},
    "splunk": lambda word: {"search_name": "lock", "sid": "s", "result": {"host": "h", "severity": word}},
    "statuspage": lambda word: {"incident": {"id": "1", "name": "lock", "status": "investigating", "impact": word}},
    "thousandeyes": lambda word: {
        "eventType": "ALERT_NOTIFICATION_TRIGGER",
        "alert": {"alertId": "1", "ruleName": "lock", "severity": word},
    },
    "zabbix": lambda word: {"event_name": "lock", "event_id": "1", "event_value": "1", "event_severity": word},
}
"""A payload with a severity word, for each place in which a format reads one."""
WITHOUT = {"webex", "icinga2", "netbox", "uptime-kuma", "uptimerobot", "ris-live"}
"""Formats whose payloads say no severity in a word."""
MEANT: dict[str, dict[str, str | None]] = {
    "datadog": {"error": "critical", "success": None},
    "statuspage": {"none": "warning"},
    "jira": {"minor": "warning"},
    "apic": {"cleared": None},
    "intersight": {"cleared": None},
    "librenms": {"ok": None},
}
"""Words by which a vendor means something else than others do; None: no severity at all."""


def read(sample: str, word: str) -> Event:
    name = sample.partition(",")[0]
    format_ = {
        "map": lambda: make_mapping(MappingSettings(title="t", severity="s")),
        "alertmanager-api": lambda: make_format("am", AlertmanagerApiSettings(type="alertmanager-api")),
    }.get(name, lambda: FORMATS[name])()
    headers = {"x-github-event": "code_scanning_alert"} if name == "github" else {}
    found = read_payload(format_, Request(SAMPLES[sample](word), "locks", headers, received_at=1.0))
    return stamp(found.drafts[0], SourceDefaults(source="locks", format=name, severity="minor"), "e", 1.0)


def test_every_format_has_a_sample_or_says_no_severity() -> None:
    assert {sample.partition(",")[0] for sample in SAMPLES} - {"map", "alertmanager-api"} == set(FORMATS) - WITHOUT


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_word_of_the_table_means_the_same_in_every_format(sample: str) -> None:
    own = MEANT.get(sample.partition(",")[0], {})
    wrong = {}
    for word, severity in TABLE:
        for spelt in SPELLINGS:
            event = read(sample, spelt(word))
            if word in own:
                expected: tuple[str, bool] = (own[word] or "minor", own[word] is not None)
                if own[word] is None:
                    continue  # it says that nothing is wrong: whether there is an event at all is another question
            else:
                expected = (severity, True)
            if (event.severity, event.severity_given) != expected:
                wrong[spelt(word)] = (event.severity, event.severity_given, expected)
    assert wrong == {}


@pytest.mark.parametrize("sample", sorted(set(SAMPLES) - {"pagerduty"}))  # there the urgency stands in
def test_a_word_that_nobody_knows_takes_the_default_with_a_note_and_stays_a_label(sample: str) -> None:
    event = read(sample, "Mauve")
    assert (event.severity, event.severity_given) == ("minor", False)
    assert event.labels["severity"].lower() == "mauve"
    assert event.notes[-1] == "severity 'mauve' is not known; the source's default, minor, is used"


@pytest.mark.parametrize("sample", ["alertmanager", "alertmanager-api", "grafana"])
@pytest.mark.parametrize("word", ["P1", "Page", "mauve"])
def test_the_severity_label_of_an_alert_stays_as_it_was_sent(sample: str, word: str) -> None:
    assert read(sample, word).labels["severity"] == word


@pytest.mark.parametrize(
    ("written", "severity"),
    [
        ("SEV-1", "major"),
        ("sev 1", "major"),
        ("Sev.1", "major"),
        ("Severity 1", "major"),
        ("severity_0", "critical"),
        ("SEV5", "info"),
        ("P-1", "critical"),
        ("p 2", "major"),
        ("Priority 3", "minor"),
        ("prio: 4", "warning"),
        ("P1 - Critical", "critical"),
        ("1 - Critical", "critical"),
        ("High (P2)", "major"),
        ("Low | later", "warning"),
        ("severity: high", "major"),
        ("LOG_ERR", "major"),
        ("log level: warn", "warning"),
        ("Very High", "critical"),
        ("very-low", "info"),
        ("EMERG", "critical"),
        ("non-critical", None),
        ("1", None),
        ("5", None),
        ("-1", None),
        ("level 1", None),
        ("sev9", None),
        ("P6", None),
        ("", None),
        ("x" * 10_000, None),
        ("critical" * 20, None),
    ],
)
def test_case_joints_and_what_stands_beside_do_not_matter_and_a_number_alone_is_no_word(
    written: str, severity: str | None
) -> None:
    assert severity_of(written) == severity


def test_no_word_has_two_meanings() -> None:
    assert len(WORDS) == len(TABLE)
    assert set(FOREIGN) == set(SEVERITIES) == set(RANK)


@given(st.text(max_size=120))
def test_any_text_is_looked_up(word: str) -> None:
    assert severity_of(word) in (*SEVERITIES, None)


# Mappings


@pytest.mark.parametrize(("word", "severity"), TABLE)
def test_a_proposal_overrides_nothing_that_is_known(word: str, severity: str) -> None:
    for spelt in SPELLINGS[:3]:
        payload = {"id": "pump_dry", "message": "Pump 3 runs dry", "level": spelt(word)}
        settings = proposal(payload).settings
        assert (settings.severity, settings.severities) == ("level", {})
        (item,) = MappingTrial(settings, payload).items
        assert item["event"]["severity"] == severity


@pytest.mark.parametrize("word", ["Mauve", 3, "HH"])
def test_a_proposal_asks_for_words_that_nobody_knows(word: str | int, tmp_path: Path) -> None:
    payload = {"id": "pump_dry", "message": "Pump 3 runs dry", "level": word}
    assert proposal(payload).settings.severities == {str(word): "warning"}
    file = tmp_path / "pump.json"
    file.write_text(json.dumps(payload), encoding="utf-8")
    out = CliRunner().invoke(app, ["map", "try", str(file)]).output
    assert f"# severities: {str(word)!r} could not be placed; warning is a guess" in out


@pytest.mark.parametrize(
    ("given", "word", "severity"),
    [
        ({"HIGH": "critical"}, "HIGH", "critical"),
        ({"HIGH": "critical"}, "high", "critical"),
        ({"1": "critical"}, 1, "critical"),
        ({"LOW": "info"}, "low", "info"),
        ({"HH": "critical"}, "error", "major"),
        ({"a": "critical", "A": "info"}, "A", "info"),
        ({"a": "critical", "A": "info"}, "a", "critical"),
    ],
)
def test_a_mappings_own_words_win_in_whatever_case(given: dict[str, str], word: str | int, severity: str) -> None:
    mapping = make_mapping(MappingSettings(title="t", severity="s", severities=given))
    (draft,) = read_payload(mapping, Request({"t": "x", "s": word}, "s")).drafts
    assert stamp(draft, SourceDefaults(source="s", format="map"), "e", 0.0).severity == severity
    assert not has_unknown_severity(draft)
