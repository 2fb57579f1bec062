"""The words of a reply, chosen when it is planned and again when it is sent. Pure.

A reply may wait behind an outage while its alerts go on. So it says what is true when it is sent: it leaves out the
alerts of which it is not true any more, and is not sent if none is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from relay.core import phrases
from relay.core.delivery import Reply, ReplyKind, Summary
from relay.core.event import RANK, Severity
from relay.core.incident import Incident
from relay.core.naming import names_of


class Message(msgspec.Struct, frozen=True):
    """The message that a reply belongs to: how many of its incidents fire, how many it has, the worst, the labels."""

    firing: int
    count: int
    worst: Severity
    labels: Mapping[str, str] = {}


def message_of(summary: Summary) -> Message:
    """Return what a reply needs to know of a message's incidents."""
    worst = summary.incidents[0].event.severity if summary.incidents else "info"
    return Message(summary.firing, summary.firing + summary.ended, worst, summary.labels)


def reply_about(kind: ReplyKind, incidents: Sequence[Incident], **facts: object) -> Reply:
    """Return a reply about some incidents of a message."""
    return Reply(kind=kind, alerts=tuple((one.source, one.key) for one in incidents), **facts)  # type: ignore[arg-type]  # its own fields


def say(reply: Reply, incidents: Sequence[Incident], now: float, message: Message) -> str | None:
    """Return the reply in words, or None if nothing of it is true any more.

    `incidents` are those of its alerts that the message still shows; `now` is by the relay's own clock.
    """
    if not reply.alerts:
        return None if message.firing else _all_ended(reply, message)
    is_true, words = _KINDS[reply.kind]
    left = worst_first([one for one in incidents if is_true(reply, one)])
    if not left:
        return None
    text = words(reply, left, now, message)
    return phrases.with_title(text, left[0].event.title) if reply.titled else text


def worst_first(incidents: Sequence[Incident]) -> list[Incident]:
    """Sort incidents by severity, and the oldest first among equals."""
    return sorted(incidents, key=lambda one: (RANK[one.event.severity], one.started_at))


def _all_ended(reply: Reply, message: Message) -> str:
    if reply.kind == "storm ended":
        return phrases.ALL_OF_STORM_ENDED
    return phrases.all_ended("expired" if reply.expired else "resolved", message.count, reply.seconds)


def _fires(_: Reply, incident: Incident) -> bool:
    return incident.firing and not incident.quiet and incident.held is None


def _is_worse(reply: Reply, incident: Incident) -> bool:
    return _fires(reply, incident) and RANK[incident.event.severity] < RANK[reply.before]


def _wants_someone(reply: Reply, incident: Incident) -> bool:
    return _fires(reply, incident) and incident.ack is None


def _ended(_: Reply, incidents: Sequence[Incident], __: float, ___: Message) -> str:
    one = incidents[0]
    return phrases.ended("expired" if one.state == "expired" else "resolved", _lasted(one))


def _settled(_: Reply, incidents: Sequence[Incident], __: float, ___: Message) -> str:
    one = incidents[0]
    return phrases.flaps_no_more(one.event.severity, None if one.state == "firing" else one.state)


def _alarm(_: Reply, incidents: Sequence[Incident], __: float, ___: Message) -> str:
    return phrases.several_alarm(incidents[0].event.severity, _names(incidents))


def _reminder(_: Reply, incidents: Sequence[Incident], now: float, __: Message) -> str:
    lasted, severity = now - min(one.opened_at for one in incidents), incidents[0].event.severity
    if len(incidents) == 1:
        return phrases.still_firing(severity, lasted)
    return phrases.several_still_fire(severity, _names(incidents), lasted)


def _in_short(_: Reply, news: Sequence[Incident], __: float, message: Message) -> str:
    """Return how many incidents fire, and by name those that have changed."""
    if message.firing:
        head = phrases.several_firing(message.worst, message.firing)
    else:
        expired = all(one.state == "expired" for one in news)
        head = phrases.all_ended("expired" if expired else "resolved", message.count, max(map(_lasted, news)))
    signs = [phrases.ENDS[one.state] if one.over else phrases.SIGNS[one.event.severity] for one in news]
    return phrases.in_short(head, message.labels, list(zip(signs, _names(news), strict=True)))


_Words = Callable[[Reply, Sequence[Incident], float, Message], str]
_KINDS: dict[ReplyKind, tuple[Callable[[Reply, Incident], bool], _Words]] = {
    "ended": (lambda _, one: one.over, _ended),
    "flapping": (lambda _, one: one.quiet, lambda _, found, *__: phrases.flapping(found[0].changes)),
    "flaps no more": (lambda _, one: not one.quiet, _settled),
    "again": (_fires, lambda reply, found, *_: phrases.fires_again(found[0].event.severity, reply.seconds)),
    "silence over": (_fires, lambda _, found, *__: phrases.silence_is_over(found[0].event.severity)),
    "held back": (_fires, lambda _, found, *__: phrases.was_held_back(found[0].event.severity)),
    "worsened": (_is_worse, lambda reply, found, *_: phrases.worsened(found[0].event.severity, reply.before)),
    "alarm": (_fires, _alarm),
    "reminder": (_wants_someone, _reminder),
    "in short": (lambda *_: True, _in_short),
}
"""Of which incidents each kind of reply is true, and its words about these."""


def _lasted(incident: Incident) -> float:
    return (incident.ended_at or incident.started_at) - incident.started_at


def _names(incidents: Sequence[Incident]) -> list[str]:
    return names_of([one.event for one in incidents])
