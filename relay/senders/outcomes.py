"""The one table from HTTP answers to outcomes: operation by status.

Statuses: Webex for Developers, "REST API Basics", section "API Errors"; 423 and 429 carry `Retry-After`.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from relay.core.delivery import Action, Failed, Reason, Refused, Scope, Throttled

Operation = Literal["post", "edit", "reply", "find", "create", "token"]
OPERATIONS: dict[Action, Operation] = {
    "post": "post",
    "digest": "post",
    "edit": "edit",
    "reply": "reply",
    "file": "reply",
}

JUNK_RETRY_AFTER = 15.0
"""Seconds to wait if `Retry-After` can't be read; Webex has sent unreadable ones."""
LONGEST_RETRY_AFTER = 3_600.0
DEFAULT_THROTTLE = 15.0
"""Seconds to wait after a 429 without `Retry-After`."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer that was read to its end; `retry_after` is the unparsed header."""

    status: int
    body: bytes
    retry_after: str | None = None
    tracking_id: str = ""
    next_page: str | None = None


_REFUSALS: dict[tuple[Operation, int], tuple[Reason, Scope]] = {
    ("post", 401): ("auth", "account"),
    ("post", 403): ("refused", "room"),
    ("post", 404): ("unknown_room", "room"),
    ("post", 413): ("too_large", "delivery"),
    ("edit", 401): ("auth", "account"),
    ("edit", 404): ("refused", "message"),
    ("edit", 413): ("too_large", "delivery"),
    ("reply", 401): ("auth", "account"),
    ("reply", 403): ("refused", "room"),
    ("reply", 404): ("refused", "message"),
    ("reply", 413): ("too_large", "delivery"),
    ("find", 401): ("auth", "account"),
    ("find", 403): ("unknown_room", "room"),
    ("find", 404): ("unknown_room", "room"),
    ("create", 401): ("auth", "account"),
    ("create", 403): ("unknown_room", "room"),
    ("token", 400): ("auth", "account"),
    ("token", 401): ("auth", "account"),
    ("token", 403): ("auth", "account"),
    ("token", 404): ("auth", "account"),
}


def classify(operation: Operation, answer: Answer, now: float) -> Throttled | Failed | Refused:
    """Return the outcome of an answer that is not a success; `now` in Unix seconds, for `Retry-After` as a date."""
    status = answer.status
    detail = describe(answer)
    if status == 429:
        wait = read_retry_after(answer.retry_after, now)
        return Throttled(DEFAULT_THROTTLE if wait is None else wait, detail)
    if status in (407, 408, 423) or status >= 500 or status < 400:
        kind: Reason = "timeout" if status == 408 else "remote"
        return Failed(kind, detail, read_retry_after(answer.retry_after, now))
    known = _REFUSALS.get((operation, status))
    # a 404 that is not the API's own means a wrong address, not a missing room: the account is at fault
    if status == 404 and operation in ("post", "find") and not _is_the_services(answer):
        hint = f"{detail}; expected an answer of the API: check the account's `url`, like https://webexapis.com/v1"
        return Refused("auth", "account", hint)
    if known is not None:
        return Refused(*known, detail)
    kind = "too_large" if "length" in detail or "too long" in detail or "7439" in detail else "refused"
    return Refused(kind, "delivery" if operation in ("post", "edit", "reply") else "room", detail)


def _is_the_services(answer: Answer) -> bool:
    """Return whether an answer may be the service's own: the errors of other servers are rarely JSON."""
    try:
        _error_body.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def read_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a `Retry-After` (seconds or a date) asks for: 15 if it is junk, an hour at most."""
    if value is None:
        return None
    text = value.strip()
    try:
        seconds = float(text) if text.isascii() else JUNK_RETRY_AFTER
    except ValueError:
        seconds = _seconds_until(text, now)
    if not 0 <= seconds < float("inf"):
        seconds = JUNK_RETRY_AFTER
    return min(seconds, LONGEST_RETRY_AFTER)


def _seconds_until(date: str, now: float) -> float:
    try:
        at = parsedate_to_datetime(date)
        return max(0.0, at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return JUNK_RETRY_AFTER


class _ErrorItem(msgspec.Struct):
    description: str = ""


class _ErrorBody(msgspec.Struct):
    message: str = ""
    errors: list[_ErrorItem] = []


_error_body = msgspec.json.Decoder(_ErrorBody)


def describe(answer: Answer) -> str:
    """Return an answer's status, message and tracking id, in one line."""
    try:
        body = _error_body.decode(answer.body)
        message = body.message or next((item.description for item in body.errors if item.description), "")
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = answer.body[:200].decode(errors="replace")
    message = " ".join(message.split())[:300]
    tracking = f" (tracking id {answer.tracking_id})" if answer.tracking_id else ""
    return f"{answer.status}{': ' + message if message else ''}{tracking}"
