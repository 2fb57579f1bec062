"""Words that senders use for a status."""

from __future__ import annotations

import pytest

from relay.formats.statuses import status_of


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("ALERT_STATUS_ACTIVE", "firing"),
        ("incident.resolved", "resolved"),
        ("IncidentResolved", "resolved"),
        ("InAlarm", "firing"),
        ("RESOLVED_ALERT", "resolved"),
        ("ResolvedCritical", "resolved"),
        ("clear_alarm", "resolved"),
        ("POLICY_CLOSE_CRITICAL", "resolved"),
        ("POLICY_OPEN_CRITICAL", "firing"),
        ("recovery_failed", "firing"),
        ("close problem", "resolved"),
        ("acknowledge_alert", "notice"),
        ("TEST_ALERT", "notice"),
        ("new-alert", "firing"),
        ("resolve_incident", "resolved"),
        ("OK -> CRITICAL", "firing"),
        ("AP_DISCONNECTED", "firing"),
        ("not responding", "firing"),
        ("not_resolved", None),
        ("NotFiring", None),
        ("", None),
        ("Störung", None),
    ],
)
def test_a_word_is_understood_by_its_last_part_unless_that_is_only_what_it_is_of(word: str, status: str | None) -> None:
    assert status_of(word) == status
