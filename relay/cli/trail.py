"""An incident's trail, as `relay explain` prints it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from relay.cli.common import say
from relay.cli.groups import group_phrase
from relay.core.reasons import AFTERWARDS, REASONS, SUPPRESSED, no_message

if TYPE_CHECKING:
    from relay.cli.access import Daemon, Stored


def cause(reached: Daemon | Stored, reason: str, by: str) -> str:
    """Return what suppresses an alert; another alert by its title and the numbers of its incidents."""
    if reason == "inhibited":
        found = [one for one in reached.incidents(ended=False) if f"{one['source']}/{one['key']}" == by]
        if found:
            numbers = ", ".join(str(one["id"]) for one in found)
            by = f"{found[0]['title']!r} (incident {numbers})"
    return SUPPRESSED[reason].format(by=by)


def print_incident(incident: dict[str, Any], reached: Daemon | Stored) -> None:
    """Print an incident's trail: its events, what each did, and what its message says now."""
    say(f"incident {incident['id']} in room {incident['room']}: {incident['severity']}: {incident['title']}")
    say(f"  source {incident['source']}, key {incident['key']}{group_phrase(incident['group'])}")
    for sentence in _present(incident, reached):
        say(f"  {sentence}")
    say("  events" if incident["events"] else "  no event of it is on record any more")
    for event in reversed(incident["events"]):
        say(f"    {event['received_at']} {event['status']} {event['severity']}: {event['title']} ({event['id']})")
        say(f"      {_effect(event)}")
    if incident["markdown"] is not None:
        say("  its message now")
        say("\n".join(f"    │ {line}" for line in incident["markdown"].split("\n")))


def _present(incident: dict[str, Any], reached: Daemon | Stored) -> Sequence[str]:
    """Return sentences about the present state of an incident."""
    over = f" to {incident['ended_at']}" if incident["ended_at"] else ""
    sentences = [f"{incident['state']}, from {incident['started_at']}{over}"]
    if incident["flapping"]:
        sentences.append(f"flapping: {REASONS['flapping']}")
    if incident["held"] and incident["state"] == "firing":
        sentences.append(f"held back: {cause(reached, incident['held'], incident['held_by'])}; {AFTERWARDS}")
    if incident["acknowledged_by"]:
        comment = f": {incident['comment']}" if incident["comment"] else ""
        sentences.append(f"acknowledged by {incident['acknowledged_by']}{comment}")
    if incident["undelivered"]:
        sentences.append(f"its room knows nothing of it, as its delivery is dead: {incident['undelivered']}")
    elif incident["message_id"] is not None:
        sentences.append(f"in message {incident['message_id']}")
    return sentences


def _effect(event: dict[str, Any]) -> str:
    """Return what an event of an incident did in the incident's room."""
    if event["deliveries"]:
        return ", ".join(f"{one['action']} {one['id']}: {one['state']}" for one in event["deliveries"])
    if event["state"] != "planned":
        return "not planned yet" if event["state"] == "waiting" else "set aside: it could not be planned"
    if event["waits"]:
        return "its message follows when its group is due"
    if event["suppressed"]:
        return no_message(event["suppressed"], event["status"])
    return "no delivery of it is on record for this room"
