"""Severities, and the words that senders have for them: one table for formats, mappings and the relay's own JSON.

A number alone is not in the table: a format's own table, or a mapping's `severities`, gives its meaning.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

Severity = Literal["critical", "major", "minor", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""Worst first: the order of ITU-T X.733, with info below."""
RANK: dict[Severity, int] = {severity: rank for rank, severity in enumerate(SEVERITIES)}
FOREIGN: dict[Severity, tuple[str, ...]] = {
    "critical": (
        "crit",
        "emergency",
        "emergencies",
        "emerg",
        "panic",
        "fatal",
        "disaster",
        "catastrophic",
        "alert",
        "alerts",
        "page",
        "urgent",
        "immediate",
        "blocker",
        "highest",
        "severe",
        "very high",
        "p0",
        "p1",
        "sev0",
    ),
    "major": ("high", "error", "errors", "err", "failure", "failed", "important", "serious", "p2", "sev1"),
    "minor": ("medium", "average", "moderate", "p3", "sev2"),
    "warning": ("warn", "warnings", "caution", "low", "indeterminate", "p4", "sev3"),
    "info": (
        "information",
        "informational",
        "informative",
        "none",
        "debug",
        "debugging",
        "verbose",
        "trace",
        "notice",
        "notification",
        "notifications",
        "ok",
        "success",
        "normal",
        "clear",
        "cleared",
        "trivial",
        "negligible",
        "lowest",
        "very low",
        "p5",
        "sev4",
        "sev5",
    ),
}
"""Words of syslog (RFC 5424), X.733, log libraries and vendors; `p1` is also `P-1` and `priority 1`, `sev1` likewise
`SEV-1` and `Severity 1`."""
NO_TROUBLE = frozenset({"none", "ok", "success", "normal", "clear", "cleared"})
"""Words for the state after an alert's end. In a resolved event they give no severity."""
LONGEST_WORD = 100

_JOINTS = re.compile(r"[\s_.:#-]+")
_NAMED = re.compile(r"(severity|sev|priority|prio|loglevel|level|log)(\w+)")
_PARTS = re.compile(r"\s+[-–—|/]\s+|[(),:|/]")
_CONSTANT = re.compile(r"(?:(?:alert|alarm|event|severity|criticality|level|priority|urgency|threat|risk)[_-])+(\w+)")
_SCALES = {"severity": "sev", "sev": "sev", "priority": "p", "prio": "p"}


def _squeezed(word: str) -> str:
    return _JOINTS.sub("", word.lower())


WORDS: dict[str, Severity] = {
    _squeezed(word): severity for severity, words in FOREIGN.items() for word in (severity, *words)
}
"""The severity of each word, in lower case and without joints."""


def severity_of(word: str) -> Severity | None:
    """Return the severity that a sender's word means, or None if the word is not known.

    Case and joints (blanks and `_.:#-`) do not matter. In `P1 - Critical` or `High (P2)` the first known part counts,
    in a constant like `ALERT_CRITICALITY_LEVEL_WARNING` the last.
    """
    if word in RANK:
        return word
    if len(word) > LONGEST_WORD:
        return None
    if (found := _known(word)) is not None:
        return found
    if (constant := _CONSTANT.fullmatch(word.strip().lower())) is not None:
        return _known(constant[1])
    return next((found for part in _PARTS.split(word) if (found := _known(part)) is not None), None)


def _known(word: str) -> Severity | None:
    plain = _squeezed(word)
    if (found := WORDS.get(plain)) is not None or (named := _NAMED.fullmatch(plain)) is None:
        return found
    kind, value = named.groups()
    return WORDS.get(f"{_SCALES.get(kind, '?')}{value}" if value.isdigit() else value)
