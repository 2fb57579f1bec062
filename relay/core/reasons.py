"""Reasons in sentences: why an event changed no message, and what suppresses an alert."""

from __future__ import annotations

REASONS = {
    "repeat": "it adds nothing that its room does not know",
    "flapping": "its alert opens and ends too often; its message stays quiet until the alert holds",
    "nothing_open": "it is about an alert that is not open",
    "policy": "its route posts no such change (`on_update`, `on_resolve`)",
    "brief": "it ended before its group was due",
    "silenced": "a silence suppresses it",
    "inhibited": "another alert that fires suppresses it",
    "muted": "its route is muted at this time",
    "downtime": "its source is in a downtime",
    "unrouted": "its route has no rooms",
    "acknowledged": "someone had acknowledged it before its group was due",
    "echo": "it repeats or answers a message that the relay itself has sent",
    "dropped": "nobody asked for it, so it is dropped: it is counted and not stored",
    "own": "one of the relay's own accounts wrote it, so it is not an event",
}
"""Sentences for the words of `Suppression`, and for events that are not kept."""
SUPPRESSED = {
    "silenced": "silence {by} (`relay silence list`)",
    "inhibited": "the alert {by} fires",
    "muted": "its route is muted: {by}",
    "downtime": "source {by} is in a downtime",
}
"""The cause that suppresses an alert in a room, by reason."""
AFTERWARDS = "if it still fires when that ends, it is sent then"


def no_message(reason: str, status: str) -> str:
    """Return a phrase why an event of this status changed no message, and whether one may come later."""
    if reason in SUPPRESSED and status == "firing":
        return f"no message at first: {REASONS[reason]}; {AFTERWARDS}"
    return f"no message: {REASONS[reason]}"
