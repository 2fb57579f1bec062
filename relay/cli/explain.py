"""`relay explain`: why an event goes where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli import completion
from relay.cli.common import (
    ConfigOption,
    Output,
    OutputOption,
    complain,
    fail,
    load_config,
    print_json,
    read_input,
    say,
)

REASONS = {
    "repeat": "it says nothing that its room does not know, ends nothing that is open, or its alert is flapping",
    "brief": "it was over before its group was due",
    "silenced": "a silence holds it; what still fires when that ends is told then",
    "inhibited": "another alert that fires holds it; what still fires when that ends is told then",
    "muted": "its route says nothing at this time; what still fires afterwards is told then",
    "downtime": "its source is in a downtime; what still fires when that ends is told then",
    "unrouted": "its route has no rooms: nobody is told",
    "acknowledged": "someone had acknowledged it before its group was due",
    "echo": "it repeats or answers what the relay itself has sent",
    "own": "one of the relay's own accounts wrote it, so it is no event",
}
"""Why an event changed no message."""
HELD = {
    "silenced": "silence {by} (`relay silence list`)",
    "inhibited": "the alert {by} fires",
    "muted": "its route is muted: {by}",
    "downtime": "source {by} is in a downtime",
}
TAKEN_OVER = {
    "superseded": "superseded by delivery {by}, which tells what was true then",
    "merged": "told together with others by delivery {by}",
    "moved": "moved to another room by delivery {by}",
}

if TYPE_CHECKING:
    from relay.app.explain import ExplainedDelivery, Explanation
    from relay.core.suppression import Silence
    from relay.settings.load import Loaded


def explain(
    payload: Annotated[str, typer.Argument(help="A payload's file, - for standard input, or the id of an event.")],
    config: ConfigOption = None,
    source: Annotated[
        str | None,
        typer.Option(help="The source it comes from.", show_default=False, autocompletion=completion.sources),
    ] = None,
    at: Annotated[str | None, typer.Option(help="The time to explain it for.", show_default=False)] = None,
    headers: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", help="A header it comes with, like 'X-GitHub-Event: push'; repeatable."),
    ] = None,
    output: OutputOption = Output.text,
) -> None:
    """Tell the whole trail of a payload without sending anything, or the real trail of an event that was taken.

    Example: relay explain --source prometheus payload.json
    """
    loaded = load_config(config)
    if payload != "-" and not Path(payload).exists():
        _explain_event(loaded, payload, output)
        return
    from relay.app.explain import as_json, explain_payload
    from relay.formats.contract import NotJsonError, UnreadableError

    name = _source(loaded, source)
    try:
        explained = list(
            explain_payload(
                loaded, name, read_input(payload), _time(at), _silences(loaded), _headers(headers or ()),
                refuses=lambda error: complain(f"source {name} would refuse one item: {error}"),
            )
        )  # fmt: skip
    except (NotJsonError, UnreadableError) as error:
        fail(f"source {name} would refuse this payload: {error}")
    if output is Output.json:
        print_json(as_json(explained))
        return
    if not explained:
        say("no event comes of this payload")
    for one in explained:
        _print(one)


def _headers(given: Sequence[str]) -> dict[str, str]:
    """Headers by lower-case name."""
    found = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            fail(f"--header: {header!r} is none; 'X-GitHub-Event: push' would be right", 2)
        found[name.strip().lower()] = value.strip()
    return found


def _source(loaded: Loaded, given: str | None) -> str:
    names = list(loaded.settings.sources)
    if given in names:
        return given
    if given is not None:
        from relay.settings.problems import near

        fail(f"no source is called {given!r} in {loaded.file}{near(given, names)}; there are {', '.join(names)}", 2)
    if len(names) != 1:
        fail(f"--source says where it comes from: {', '.join(names) or 'none is configured'}", 2)
    return names[0]


def _silences(loaded: Loaded) -> list[Silence]:
    """The silences in force, where there is a relay or a database to ask."""
    from relay.cli.access import access
    from relay.cli.common import SilentError
    from relay.core.suppression import Silence
    from relay.core.words import parse_time

    if not loaded.storage.exists():
        return []
    try:
        found = access(loaded).silences()
    except (SilentError, typer.Exit):
        return []
    times = ("starts_at", "ends_at", "updated_at")
    return [
        Silence(
            id=one["id"], matchers=tuple(one["matchers"]), created_by=one["created_by"], comment=one["comment"],
            **{name: parse_time(one[name]) for name in times},
        )
        for one in found
    ]  # fmt: skip


def _time(at: str | None) -> float:
    from relay.core.words import parse_time
    from relay.lifecycle import SystemClock

    if at is None:
        return SystemClock().wall()
    try:
        return parse_time(at)
    except ValueError as error:
        fail(f"--at: {error}", 2)


def _print(one: Explanation) -> None:
    event = one.event
    say(f"{event.status} {event.severity}: {event.title}")
    say(f"  source {event.source}, format {event.format}, key {event.key}")
    say("  its severity is its own" if event.severity_given else "  its severity is the source's default")
    say("  labels " + (", ".join(f"{name}={value!r}" for name, value in event.labels.items()) or "none"))
    for note in event.notes:
        say(f"  note: {note}")
    say("  routes")
    for step in one.routes:
        say(f"    {'✓' if step.matched else '✗'} {step.path}: {step.why}")
    for failure in one.template_failures:
        say(f"  {failure}; the built-in message stands in")
    for room, held in one.held.items():
        say(f"  held in {room}: {HELD[held.reason].format(by=held.by)}")
    if one.suppressed is not None:
        say(f"  no message: {REASONS[one.suppressed]}")
    for delivery in one.deliveries:
        say(f"  {delivery.action} to {delivery.room}, by {delivery.route}{_company(delivery)}")
        for number, text in enumerate((delivery.markdown, *delivery.replies)):
            say("\n".join(f"    {'│' if number == 0 else '└'} {line}" for line in text.split("\n")))


def _company(delivery: ExplainedDelivery) -> str:
    """With which group it is told, and how long that waits."""
    from relay.core.words import say_duration

    if delivery.group is None:
        return ""
    labels = ", ".join(f"{name}={value}" for name, value in delivery.group.items())
    waits = f", after {say_duration(delivery.waits_seconds)}" if delivery.waits_seconds >= 1 else ""
    return f", with the group {labels or 'of its route'}{waits}"


def _explain_event(loaded: Loaded, event_id: str, output: Output) -> None:
    from relay.cli.access import access

    reached = access(loaded)
    event = reached.event(event_id)
    if event is None:
        fail(f"{event_id!r} is neither a file nor the id of an event that {reached.name} knows")
    if output is Output.json:
        print_json(event)
        return
    print_event(event)


def print_event(event: dict[str, Any]) -> None:
    """Print an event and what became of it, in sentences."""
    say(f"{event['status']} {event['severity']}: {event['title']}")
    say(f"  id {event['id']}, source {event['source']}, format {event['format']}, key {event['key']}")
    say(f"  received {event['received_at']}, occurred {event['occurred_at']}, {event['state']}")
    if event["set_aside"]:
        say(f"  set aside: {event['set_aside']}")
    if event["labels"]:
        say("  labels " + ", ".join(f"{name}={value!r}" for name, value in event["labels"].items()))
    for note in event["notes"]:
        say(f"  note: {note}")
    _print_fate(event)


def _print_fate(event: dict[str, Any]) -> None:
    if event.get("suppressed"):
        say(f"  at first no message: {REASONS[event['suppressed']]}")
    for incident in event.get("incidents") or []:
        for sentence in _story(incident):
            say(f"  {sentence}")
    if not event["deliveries"] and not event.get("suppressed") and not _waits(event):
        say("  no delivery yet" if event["state"] == "waiting" else "  no delivery is on record")
    for delivery in reversed(event["deliveries"]):
        say(f"  {delivery['action']} {delivery['id']} to {delivery['room']}, by {delivery['route']}: {_fate(delivery)}")


def _waits(event: dict[str, Any]) -> bool:
    return any(incident["waits"] for incident in event.get("incidents") or [])


def _story(incident: dict[str, Any]) -> list[str]:
    """What is to be said of an incident that an event concerns."""
    at = f"incident {incident['id']} in room {incident['room']}"
    sentences = [f"{at}: {incident['state']}{_group(incident['group'])}"]
    if incident["message_id"] is not None:
        edits = incident["edits"]
        sentences[0] += f", told by message {incident['message_id']}" + (f", edited {edits} times" if edits else "")
    if incident["waits"]:
        sentences.append(f"  its room is told when its group is due, at {incident['due_at'] or 'the next change'}")
    if incident["held"] is not None:
        sentences.append(f"  held: {HELD[incident['held']['reason']].format(by=incident['held']['by'])}")
    if incident["ack"] is not None:
        said = f": {incident['ack']['comment']}" if incident["ack"]["comment"] else ""
        sentences.append(f"  acknowledged by {incident['ack']['by']}{said}")
    return sentences


def _group(name: str | None) -> str:
    """A group in words: its labels, or that it is a storm's digest."""
    if name is None:
        return ""
    import msgspec

    place, _, labels = name.partition("\n")
    if place.startswith("storm "):
        return ", in a storm's digest"
    pairs = ", ".join(f"{key}={value}" for key, value in msgspec.json.decode(labels or "[]"))
    return f", in the group {pairs}" if pairs else ", in its route's one group"


def _fate(delivery: dict[str, Any]) -> str:
    attempts = delivery["attempts"]
    tries = f"{attempts} attempt{'' if attempts == 1 else 's'}"
    if delivery["state"] == "done":
        return f"done at {delivery['settled_at']} after {tries}, message {delivery['message_id']}"
    if delivery["state"] == "waiting":
        error = f", last error {delivery['last_error']}" if delivery["last_error"] else ""
        return f"waiting, due {delivery['due_at']}, {tries}{error}"
    if delivery["state"] in TAKEN_OVER:
        return TAKEN_OVER[delivery["state"]].format(by=delivery["successor"])
    error = f": {delivery['reason']}, {delivery['last_error']}" if delivery["reason"] else ""
    return f"{delivery['state']} after {tries}{error}"
