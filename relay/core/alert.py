"""Alerts: the present state of a (source, key), independent of what rooms show of it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import msgspec

from relay.core.event import MAX_ANNOTATION, MAX_LABELS, Event, Severity, Status

AlertState = Literal["firing", "resolved", "expired"]
AlertKey = tuple[str, str]
"""(source, key)."""
_NOT_IN_A_NAME = re.compile(r"\W+")


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
    annotations: dict[str, str] = {}
    """The texts and links that Alertmanager's clients show: the sender's own, or made of the event's body and links."""
    generator_url: str = ""
    """The address of what the alert came from."""

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
    known = alert if alert is not None and alert.state == "firing" else None
    generator_url, annotations = _shown(event, known)
    return Alert(
        source=event.source,
        format=event.format,
        key=event.key,
        state=event.status,
        severity=event.severity,
        title=event.title,
        labels=event.labels,
        started_at=event.occurred_at if known is None else known.started_at,
        updated_at=event.occurred_at,
        seen_at=at,
        ends_at=None if event.ends_at is None else at - (event.received_at - event.ends_at),
        annotations=annotations,
        generator_url=generator_url,
    )


def _shown(event: Event, known: Alert | None) -> tuple[str, dict[str, str]]:
    """Return where an alert comes from, and its annotations: the event's own, else its body, and its other links.

    What an event without annotations does not say stays as it is known, as in the alert's message.
    """
    own, links, generator_url = event.annotations, event.links, ""
    if event.body and not own:
        own = {"description": event.body[:MAX_ANNOTATION]}
    for link in links:
        if link.text != "Runbook":
            generator_url = link.url
            break
    if links:
        said = {generator_url, *own.values()}
        own = {_name_of(link.text): link.url for link in links if link.url not in said} | own
    if known is None:
        return generator_url, own
    if not event.annotations:
        own = _kept(event, known.annotations) | own
    return generator_url or ("" if "links" in event.cleared else known.generator_url), own


def _kept(event: Event, known: dict[str, str]) -> dict[str, str]:
    """Return the known annotations that an event without annotations neither replaces nor clears."""
    no_text, no_links = event.body or "body" in event.cleared, event.links or "links" in event.cleared
    return {
        name: text
        for name, text in known.items()
        if not (no_text and name == "description") and not (no_links and name.endswith("_url"))
    }


@lru_cache(1_000)
def _name_of(text: str) -> str:
    """Return the name of the annotation for a link, like `runbook_url`."""
    return f"{_NOT_IN_A_NAME.sub('_', text).strip('_').lower()}_url"
