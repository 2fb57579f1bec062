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
OVER: dict[Code, str] = {
    "not_running": "The relay runs.",
    "hangs": "The relay goes on.",
    "disk_full": "There is room for events again.",
    "store_broken": "The database can be written again.",
    "queue_full": "The queue has room again.",
    "reload_refused": "The configuration is good again.",
    "restart_needed": "No change of the configuration waits for a restart.",
    "heartbeat_failed": "The heartbeat reaches its address again.",
    "account_refused": "Account {about} is accepted again.",
    "token_trouble": "The tokens of account {about} are renewed.",
    "token_ends": "Account {about} has a new refresh token.",
    "room_refused": "Room {about} takes messages again.",
    "untold_incident": "Room {about} knows of all open incidents.",
    "dead": "Room {about} has no dead deliveries.",
    "room_diverted": "Room {about} can be reached again.",
    "room_failing": "Messages for room {about} get through again.",
    "late": "Deliveries for room {about} wait no longer than they should.",
    "set_aside": "Nothing for room {about} is set aside any more.",
    "room_gone": "Nothing is left of room {about}, which had left the configuration.",
    "feed_down": "Feed {about} is back.",
    "source_silent": "Source {about} is heard again.",
    "source_echoes": "Source {about} no longer repeats the relay's messages.",
}
"""The sentence that ends a finding, by its code."""
MOST_DETAIL = 1_000
"""Characters of a finding's detail, which may come from outside."""
WELL = "all is well"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with the relay.

    `about` names the account, room or source, empty if it is the relay itself; `rooms` are those that suffer.
    `remedy` says what to do. `detail` may change while the sentence stays. `notice` is the severity of the operator's
    notice.
    """

    code: Code
    severity: Degree
    sentence: str
    remedy: str
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
        about=about,
        rooms=rooms,
        detail=detail[:MOST_DETAIL],
        notice=notice or ("critical" if critical else "major"),
    )


def over(key: str) -> str:
    """Return the sentence that a finding is over, by its key, which may be of another release."""
    code, _, about = key.partition(":")
    return next((text.format(about=about) for known, text in OVER.items() if known == code), f"{key} is over.")


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
