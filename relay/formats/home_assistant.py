"""Home Assistant: its websocket API (Home Assistant Developer Docs, "WebSocket API"). A source of type `websocket`
sends the login and the subscription: `send: [{type: auth, access_token: …}, {id: 1, type: subscribe_events, …}]`.

Of binary sensors that tell of a problem (`device_class` problem, smoke, gas, moisture, …) `on` fires and `off` ends;
of one that tells of something good (connectivity, power) it is the other way round. `unavailable` fires for any entity,
and its return ends that. All other changes of a state are notices.
"""

from __future__ import annotations

from relay.core.event import Draft
from relay.formats.contract import MOST_EVENTS, Format, Request, unrecognised
from relay.formats.reading import Reading, labels, trial

_BAD = ("battery", "carbon_monoxide", "cold", "gas", "heat", "moisture", "problem", "safety", "smoke", "tamper")
_GOOD = ("connectivity", "plug", "power", "running")
_CONTROL = ("auth_required", "auth_ok", "pong", "result")


def read_home_assistant(request: Request) -> list[Draft]:
    """Read a frame; frames of the protocol give no event."""
    return _frame(Reading(request.payload), request)


def _frame(frame: Reading, request: Request) -> list[Draft]:
    kind = frame.text("type")
    if kind == "auth_invalid":
        return [Draft(title=f"Home Assistant refuses the token: {frame.text('message')}", severity="major")]
    if kind == "result" and frame.text("success") == "false":
        return [Draft(title=f"Home Assistant refuses a request: {frame.text('error.message')}", severity="major")]
    if kind in _CONTROL:
        return []
    event = frame.sub("event")
    if kind != "event" or not event.is_object:
        return [unrecognised(request)]
    if event.has("c") or event.has("a") or event.has("r"):
        return _compressed(event)
    data = event.sub("data")
    if event.text("event_type") == "state_changed":
        draft = _change(data.text("entity_id"), data.sub("old_state"), data.sub("new_state"), event)
        return [] if draft is None else [draft]
    name = event.text("event_type") or "event"
    if name == "test":
        return [trial("Home Assistant's test event", "Home Assistant")]
    return [Draft(title=data.text("title", "message") or f"event {name}", severity="info", body=data.text("message"),
                  labels=labels(event_type=name), occurred_at=event.moment("time_fired"))]  # fmt: skip


def _change(entity: str, old: Reading, new: Reading, event: Reading) -> Draft | None:
    """What a change of a state says; None where nothing but attributes changed."""
    was, now = old.text("state"), new.text("state")
    attributes = new.sub("attributes") if new.is_object else old.sub("attributes")
    name, device = attributes.text("friendly_name") or entity, attributes.text("device_class")
    at = event.moment("time_fired") or new.moment("last_changed")
    about = labels(entity=entity, device_class=device, state=now)
    if not new.is_object:
        return Draft(title=f"{name} was removed", severity="info", key=entity, labels=about, occurred_at=at)
    if was == now:
        return None
    if "unavailable" in (was, now) or "unknown" in (was, now):
        gone = now in ("unavailable", "unknown")
        return Draft(title=f"{name} is {now}", status="firing" if gone else "resolved",
                     severity="warning" if gone else None, key=f"{entity}/available", labels=about,
                     occurred_at=at)  # fmt: skip
    if entity.startswith("binary_sensor.") and device in (*_BAD, *_GOOD):
        bad = (now == "on") == (device in _BAD)
        word = f"{device}: {now}"
        return Draft(title=f"{name} ({word})", status="firing" if bad else "resolved",
                     severity="major" if bad else None, key=entity, labels=about, occurred_at=at)  # fmt: skip
    unit = attributes.text("unit_of_measurement")
    return Draft(title=f"{name} is {now}{f' {unit}' if unit else ''}", severity="info", key=entity, labels=about,
                 body=f"was {was}" if was else "", occurred_at=at)  # fmt: skip


def _compressed(event: Reading) -> list[Draft]:
    """The short form of `subscribe_entities`: only states that changed, without what they were."""
    changed = event.at("c")
    drafts = []
    for entity, change in list(changed.items())[:MOST_EVENTS] if isinstance(changed, dict) else ():
        state = Reading(change).sub("+")
        if now := state.text("s"):
            drafts.append(Draft(title=f"{entity} is {now}", severity="info", key=entity,
                                labels=labels(entity=entity, state=now),
                                occurred_at=state.moment("lc", "lu")))  # fmt: skip
    return drafts


FORMAT = Format(read=read_home_assistant, forms=False)
