"""Findings: what is wrong with the relay, each with a stable code, a sentence and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, get_args

import msgspec

from relay.core.event import Severity

Degree = Literal["warning", "critical"]
Health = Literal["ok", "warning", "critical"]
Code = Literal[
    "not_running",
    "hangs",
    "disk_full",
    "store_broken",
    "queue_full",
    "account_refused",
    "room_refused",
    "untold_incident",
    "set_aside",
    "room_diverted",
    "room_failing",
    "late",
    "dead",
    "room_gone",
    "feed_down",
    "source_silent",
    "source_echoes",
    "token_ends",
    "token_trouble",
    "reload_refused",
    "restart_needed",
    "heartbeat_failed",
]
"""The kinds of findings, in the order in which they are shown if they are equally bad."""
CODES: tuple[Code, ...] = get_args(Code)
DEGREES: tuple[Degree, ...] = ("critical", "warning")
CRITICAL: frozenset[Code] = frozenset(
    {
        "not_running",
        "hangs",
        "disk_full",
        "store_broken",
        "queue_full",
        "account_refused",
        "room_refused",
        "untold_incident",
    }
)
"""Codes that are always critical: alerts do not get in, or do not get out."""
MOST_DETAIL = 1_000
"""Characters of a finding's detail, which may come from outside."""
WELL = "all is well"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with the relay.

    `about` names the account, room or source, empty if it is the relay itself; `rooms` are those that suffer.
    `remedy` says what to do. `detail` may change while the sentence stays. `notice` is the severity of the operator's
    notice, and `over` the sentence that ends it.
    """

    code: Code
    severity: Degree
    sentence: str
    remedy: str
    over: str
    about: str = ""
    rooms: tuple[str, ...] = ()
    detail: str = ""
    notice: Severity = "major"

    @property
    def key(self) -> str:
        """The identity of the finding, as long as it lasts."""
        return f"{self.code}:{self.about}"


def found(
    code: Code,
    sentence: str,
    remedy: str,
    over: str,
    *,
    about: str = "",
    rooms: tuple[str, ...] = (),
    detail: str = "",
    notice: Severity | None = None,
) -> Finding:
    """Return a finding; its code says how bad it is, unless the severity of its `notice` is given."""
    critical = code in CRITICAL if notice is None else notice == "critical"
    return Finding(
        code=code,
        severity="critical" if critical else "warning",
        sentence=sentence,
        remedy=remedy,
        over=over,
        about=about,
        rooms=rooms,
        detail=detail[:MOST_DETAIL],
        notice=notice or ("critical" if critical else "major"),
    )


def health(findings: Iterable[Finding]) -> Health:
    """Return how bad the worst of these findings is."""
    degrees = {one.severity for one in findings}
    return next((degree for degree in DEGREES if degree in degrees), "ok")


def in_short(findings: Collection[Finding]) -> str:
    """Return the worst finding and what to do about it, with the number of the others, in one line."""
    if not findings:
        return WELL
    first, more = next(iter(findings)), len(findings) - 1
    others = f" ({more} more)" if more else ""
    return f"{first.sentence} {first.remedy}{others}"
