"""Alerts: the present state of a (source, key), independent of what rooms show of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from relay.core.event import MAX_LABELS, Event, Severity, Status

AlertState = Literal["firing", "resolved", "expired"]
AlertKey = tuple[str, str]
"""(source, key)."""


class Alert(msgspec.Struct, frozen=True):
    """The present state of one (source, key). Times are Unix seconds.

    `started_at` and `updated_at` are as messages show them. The others are by the relay's own clock: `seen_at` is when
    its last event arrived, `wake_at` when to look at it again if no room knows of it.
    """

    source: str
    format: str
    key: str
    state: AlertState
    severity: Severity
    title: str
    labels: dict[str, str]
    started_at: float
    updated_at: float
    seen_at: float
    wake_at: float | None = None
    ends_at: float | None = None
    """The time at which it expires unless a further event comes, or None if its source names none."""

    @property
    def status(self) -> Status:
        """Return the status of an event that reports this state."""
        return "firing" if self.state == "firing" else "resolved"


def inherit(event: Event, alert: Alert | None) -> Event:
    """Return an event with the labels, severity and title that it lacks, taken from the firing alert of its key."""
    if alert is None or alert.state != "firing":
        return event
    lacked = [name for name in alert.labels if name not in event.labels]
    return msgspec.structs.replace(
        event,
        labels={**{name: alert.labels[name] for name in lacked[: MAX_LABELS - len(event.labels)]}, **event.labels},
        severity=event.severity if event.severity_given else alert.severity,
        severity_given=True,
        title=alert.title if event.title in ("", event.key) else event.title,
    )


def fold(event: Event, alert: Alert | None, at: float) -> Alert | None:
    """Return the alert after an event that arrived at time `at` of the relay's own clock, or None after a notice."""
    if event.status == "notice":
        return None
    was_open = alert is not None and alert.state == "firing"
    return Alert(
        source=event.source,
        format=event.format,
        key=event.key,
        state=event.status,
        severity=event.severity,
        title=event.title,
        labels=event.labels,
        started_at=alert.started_at if alert is not None and was_open else event.occurred_at,
        updated_at=event.occurred_at,
        seen_at=at,
        ends_at=None if event.ends_at is None else at - (event.received_at - event.ends_at),
    )
