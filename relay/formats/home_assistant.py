"""Home Assistant: its websocket API (Home Assistant Developer Docs, "WebSocket API"). A source of type `websocket`
sends the login and the subscription: `send: [{type: auth, access_token: …}, {id: 1, type: subscribe_events, …}]`.

A binary sensor for a problem (`device_class` problem, smoke, gas, moisture, …) fires at `on` and ends at `off`. One for
something good (connectivity, power) does the reverse. An alarm panel fires while it is `triggered`, a lock while it is
`jammed`. An alert of Home Assistant's own (`alert.*`; its documentation, "Alert") fires at `on` and ends at `idle`. It
is `off` while someone has acknowledged it. All other changes of state are notices.

`unavailable` and `unknown` fire for any entity under a separate key, so an alarm of the entity stays open. When the
entity returns, that key ends and the new state is judged whatever it was before. Removing an entity ends its alerts.
"""

from __future__ import annotations

from typing import Any

import msgspec

from relay.core.event import Draft, Status
from relay.formats.contract import MOST_EVENTS, Format, Request, unrecognised
from relay.formats.reading import Reading, clause, join, labels, severity, spoken, taken_up, trial, withdrawn

_BAD = ("battery", "carbon_monoxide", "cold", "gas", "heat", "moisture", "problem", "safety", "smoke", "tamper")
_GOOD = ("connectivity", "plug", "power", "running")
_ABSENT = ("unavailable", "unknown")
_ALARMS = {"alarm_control_panel": ("triggered", "critical"), "lock": ("jammed", "major")}
"""Domains with a state that fires, and its severity."""
_SOMEONE = "someone in Home Assistant"
_CONTROL = ("auth_required", "auth_ok", "auth_invalid", "pong", "result")


def read_home_assistant(request: Request) -> list[Draft]:
    """Read a frame. Frames of the protocol give no event."""
    return _frame(Reading(request.payload), request)


def _frame(frame: Reading, request: Request) -> list[Draft]:
    kind = frame.text("type")
    if kind == "result" and frame.text("success") == "false":
        why = frame.text("error.message", "error.code")
        return [Draft(title=join(": ", "Home Assistant refuses a request", why), severity="major")]
    if kind in _CONTROL:
        return []
    event = frame.sub("event")
    if kind != "event" or not event.is_object:
        return [unrecognised(request)]
    if any(isinstance(event.at(name), (dict, list)) for name in ("a", "c", "r")):
        return _compressed(event)
    data = event.sub("data")
    if event.text("event_type") == "state_changed":
        return _change(data.text("entity_id"), data.sub("old_state"), data.sub("new_state"), event)
    trigger = event.sub("variables.trigger")
    if trigger.is_object:
        return _triggered(trigger)
    name = event.text("event_type")
    if name == "test":
        return [trial("Home Assistant's test event", "Home Assistant")]
    what = data.text("name", "entity_id", "service_data.entity_id", "action", "command", "device_id")
    service = join(".", data.text("domain"), data.text("service"))
    title, message = data.text("title"), spoken(data.at("message"))
    return [
        Draft(
            title=title
            or (message if isinstance(data.at("message"), str) else "")
            or join(": ", clause("event", name) or "an event", join(" ", service, what)),
            severity=severity(data.text("level")) or "info",
            body=message if title or not isinstance(data.at("message"), str) else "",
            labels=labels(event_type=name),
            occurred_at=event.moment("time_fired"),
        )
    ]


def _triggered(trigger: Reading) -> list[Draft]:
    """Read what `subscribe_trigger` tells: a change of state, or else a notice of what triggered."""
    if trigger.has("to_state"):
        at = trigger.sub("to_state").moment("last_changed", "last_updated")
        return _moved(trigger.text("entity_id"), trigger.sub("from_state"), trigger.sub("to_state"), at)
    said = trigger.text("description", "payload") or join(
        " ", trigger.text("platform"), trigger.text("entity_id", "topic")
    )
    return [
        Draft(title=join(": ", "triggered", said), severity="info", labels=labels(entity=trigger.text("entity_id")))
    ]


def _change(entity: str, old: Reading, new: Reading, event: Reading) -> list[Draft]:
    """Read a change of state. A change of attributes alone gives no event."""
    return _moved(entity, old, new, event.moment("time_fired") or new.moment("last_changed"))


def _moved(entity: str, old: Reading, new: Reading, at: float | None) -> list[Draft]:
    was, now = old.text("state"), new.text("state")
    if not new.is_object:
        return _removed(_Entity.of(entity, old.sub("attributes"), was, at))
    if was == now:
        return []
    return _judged(_Entity.of(entity, new.sub("attributes"), now, at), was)


class _Entity(msgspec.Struct, frozen=True):
    """An entity with its present state."""

    id: str
    name: str
    device_class: str
    unit: str
    state: str
    at: float | None

    @staticmethod
    def of(entity: str, attributes: Reading, state: str, at: float | None) -> _Entity:
        name, device = attributes.text("friendly_name") or entity or "an entity", attributes.text("device_class")
        return _Entity(entity, name, device, attributes.text("unit_of_measurement"), state, at)

    def draft(self, title: str, status: Status, severity: str | None, key: str = "", body: str = "") -> Draft:
        about = labels(entity=self.id, device_class=self.device_class, state=self.state)
        return Draft(
            title=title,
            status=status,
            severity=severity,
            key=(key or self.id) if self.id else None,
            body=body,
            labels=about,
            occurred_at=self.at,
        )


def _judged(entity: _Entity, was: str | None) -> list[Draft]:
    """Return the drafts about an entity's state. `was` is its state before: empty if it is new, None if not known."""
    key, now = f"{entity.id}/available", entity.state
    if now in _ABSENT:
        return [entity.draft(f"{entity.name} is {now}", "firing", "warning", key)]
    back = not was or was in _ABSENT
    returned = [entity.draft(f"{entity.name} is available again", "resolved", None, key)] if back else []
    return [*returned, *_state(entity, was, back=back)]


def _alert(entity: _Entity, was: str | None) -> list[Draft]:
    """Return the drafts about an alert that is `on` or `off`. Both say that it fires: the state before may be lost."""
    fires = entity.draft(entity.name, "firing", "major")
    about: dict[str, Any] = {"labels": fires.labels, "occurred_at": entity.at}
    if entity.state == "off":
        return [fires, taken_up(entity.name, entity.id, _SOMEONE, "", **about)]
    return [fires, withdrawn(entity.name, entity.id, _SOMEONE, "", **about)] if was in ("off", None) else [fires]


def _state(entity: _Entity, was: str | None, *, back: bool) -> list[Draft]:
    """Return the drafts about a state other than unavailable or unknown. `back`: the state before it is not known."""
    kind, now = entity.id.partition(".")[0], entity.state
    if kind == "alert" and now in ("on", "off"):
        return _alert(entity, was)
    if kind == "alert" and now == "idle":
        return [entity.draft(f"{entity.name}: no longer", "resolved", None)]
    return [_other(entity, was, back=back)]


def _other(entity: _Entity, was: str | None, *, back: bool) -> Draft:
    """Return the draft about a state of an entity that is no alert."""
    kind, now, device = entity.id.partition(".")[0], entity.state, entity.device_class
    if kind == "binary_sensor" and device in (*_BAD, *_GOOD):
        bad = (now == "on") == (device in _BAD)
        title = f"{entity.name} ({device}: {now or 'without a state'})"
        return entity.draft(title, "firing" if bad else "resolved", "major" if bad else None)
    alarm, severity = _ALARMS.get(kind, ("", ""))
    title = join(" ", entity.name, "is", now or "without a state", entity.unit if now else "")
    if alarm and now == alarm:
        return entity.draft(title, "firing", severity)
    if alarm and (back or was == alarm):
        return entity.draft(title, "resolved", None)
    return entity.draft(title, "notice", "info", body=f"was {was}" if was else "")


def _removed(entity: _Entity) -> list[Draft]:
    """Return the notice that an entity was removed, and the ends of its alerts, which nothing else would end."""
    title, away = f"{entity.name} was removed", entity.state in (*_ABSENT, "")
    alarms = away or any(draft.status != "notice" for draft in _state(entity, None, back=True))
    keys = [f"{entity.id}/available"] * away + [entity.id] * alarms
    return [entity.draft(title, "notice", "info"), *(entity.draft(title, "resolved", None, key) for key in keys)]


def _compressed(event: Reading) -> list[Draft]:
    """Read the short form of `subscribe_entities`.

    A change lacks the attributes that did not change. The change of a binary sensor without its class is a notice.
    Entities that are there at the start give alerts, but no notices.
    """
    drafts: list[Draft] = []
    for entity, state in _items(event.at("a")):
        found = _judged(_short(entity, state), None)
        drafts += [draft for draft in found if draft.status != "notice" or draft.acknowledged_by is not None]
    for entity, change in _items(event.at("c")):
        if change.text("+.s"):
            drafts += _judged(_short(entity, change.sub("+")), None)
    gone = [one.value for one in event.each("r")[:MOST_EVENTS] if isinstance(one.value, str)]
    for entity in gone:
        drafts += _removed(_short(entity, Reading(None)))
    return drafts


def _items(value: Any) -> list[tuple[str, Reading]]:
    found = value.items() if isinstance(value, dict) else ()
    return [(name, Reading(item)) for name, item in list(found)[:MOST_EVENTS]]


def _short(entity: str, state: Reading) -> _Entity:
    return _Entity.of(entity, state.sub("a"), state.text("s"), state.moment("lc", "lu"))


def refuses(payload: Any) -> str | None:
    """Return the words with which Home Assistant refuses our token in a frame, else None."""
    frame = Reading(payload)
    return (
        f"Home Assistant refuses the token: {frame.text('message')}" if frame.text("type") == "auth_invalid" else None
    )


FORMAT = Format(read=read_home_assistant, refuses=refuses, forms=False)
