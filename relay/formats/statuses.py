"""Words that senders use for a status: one table for mappings and the relay's own JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping

from relay.core.event import Status

FOREIGN: Mapping[Status, tuple[str, ...]] = {
    "firing": (
        *("alert", "alerting", "alarm", "alarming", "problem", "trouble", "down", "offline", "unavailable"),
        *("unreachable", "unhealthy", "degraded", "critical", "warning", "major", "minor", "fatal", "bad", "breached"),
        *("open", "opened", "reopen", "reopened", "new", "created", "raised", "set", "trigger", "triggered", "fired"),
        *("active", "activate", "activated", "act", "start", "begin", "in alarm", "fail", "failing", "failed"),
        *("failure", "error", "firing again", "still firing", "anomalous", "abnormal", "violated", "exceeded", "lost"),
        *("disconnected", "not responding", "unresponsive", "impaired", "investigating", "identified", "ongoing"),
    ),
    "resolved": (
        *("resolve", "ok", "okay", "up", "online", "available", "reachable", "healthy", "operational", "good"),
        *("close", "closed", "clear", "cleared", "recover", "recovered", "recovery", "restored", "fixed", "solved"),
        *("normal", "back to normal", "return to normal", "returned to normal", "rtn", "end", "ended", "reset"),
        *("inactive", "deactivated", "success", "succeeded", "successful", "passed", "passing", "cancelled"),
        *("canceled", "no alarm", "connected", "responding", "responsive"),
    ),
    "notice": (
        *("info", "information", "informational", "test", "ack", "acked", "acknowledge", "acknowledged"),
        *("acknowledgement", "acknowledgment", "note", "comment", "commented", "maintenance", "paused"),
    ),
}
"""Words of vendors and protocols. `act` and `rtn` (return to normal) are those of alarm panels."""
_JOINTS = re.compile(r"[\s_.:/-]+|(?<=[a-z])(?=[A-Z])")
_NOUNS = frozenset({"alert", "alarm", "problem", "trouble", "incident", "event", "issue", "fault", "ticket"})
"""Words behind which nothing is said: what a `RESOLVED_ALERT` is says the word in front."""
_DEGREES = frozenset({"critical", "warning", "major", "minor", "fatal", "error"})
_ENDS = frozenset({"resolve", "resolved", "clear", "cleared", "close", "closed", "recover", "recovered", "recovery"})
"""Words that mean an end in front of how bad it was: `ResolvedCritical`."""
_NEGATIONS = frozenset({"not", "no", "non", "un", "never", "without"})
LONGEST_WORD = 100


def _squeezed(word: str) -> str:
    return _JOINTS.sub(" ", word.strip()).lower()


WORDS: dict[str, Status] = {_squeezed(word): status for status, words in FOREIGN.items() for word in (status, *words)}
"""The status of each word, written small and with spaces."""


def status_of(word: str) -> Status | None:
    """Return the status that a sender's word means, or None if nobody knows the word.

    Case and joints do not matter. A prefix does not matter either: `ALERT_STATUS_ACTIVE` is `active`, and
    `incident.resolved` and `IncidentResolved` are `resolved`, and so is `RESOLVED_ALERT`. A word behind a negation is
    not known.
    """
    if (found := WORDS.get(word)) is not None:
        return found  # nearly always, and on the way of every event
    if len(word) > LONGEST_WORD:
        return None
    plain = _squeezed(word)
    if (found := WORDS.get(plain)) is not None:
        return found
    *before, last = plain.split(" ") if plain else [""]
    if _NEGATIONS.intersection(before):
        return None
    if last in _DEGREES and _ENDS.intersection(before):
        return "resolved"
    if before and last in _NOUNS and before[0] in WORDS:
        return WORDS[before[0]]
    return WORDS.get(last)


def is_status(word: str) -> bool:
    """Return whether a word alone is one of a status, without a prefix."""
    return _squeezed(word[:LONGEST_WORD]) in WORDS
