"""`relay explain`: the route of an event to its rooms, and the reasons."""

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
    load_to_ask,
    print_json,
    read_input,
    say,
)
from relay.cli.groups import group_phrase
from relay.core.reasons import SUPPRESSED, no_message

LONGEST_NUMBER = 18
"""Digits of an incident's number, at most; an event's id is longer."""
TAKEN_OVER = {
    "superseded": "superseded by delivery {by}, which shows the present",
    "merged": "merged with others into delivery {by}",
    "moved": "moved to another room by delivery {by}",
}
"""Ends of a delivery that another one has taken over."""

if TYPE_CHECKING:
    from relay.app.trial.explain import ExplainedDelivery, Explanation
    from relay.cli.access import Daemon, Stored
    from relay.core.suppression import Silence
    from relay.settings.load import Loaded


def explain(
    payload: Annotated[
        str,
        typer.Argument(help="The file of a payload, - for standard input, an event's id, or an incident's number."),
    ],
    config: ConfigOption = None,
    source: Annotated[
        str | None,
        typer.Option(help="The source of the payload.", show_default=False, autocompletion=completion.sources),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="The time to explain it for (RFC 3339); default now.", show_default=False)
    ] = None,
    headers: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", help="A header of the payload, like 'X-GitHub-Event: push'; repeatable."),
    ] = None,
    output: OutputOption = Output.text,
) -> None:
    """Explain what the relay would do with a payload, without sending anything, or what it did.

    Example: relay explain --source prometheus payload.json
    """
    if payload != "-" and not Path(payload).exists():
        _explain_recorded(load_to_ask(config), payload, output)
        return
    loaded = load_config(config)
    from relay.app.trial.explain import as_json, explain_payload
    from relay.formats.contract import NotJsonError, UnreadableError

    name = _source(loaded, source)
    try:
        explained = list(
            explain_payload(
                loaded,
                name,
                read_input(payload),
                _time(at),
                _silences(loaded),
                _headers(headers or ()),
                refuses=lambda error: complain(f"source {name} would refuse one item: {error}"),
                drops=lambda why: complain(f"source {name} would drop one item: {why}"),
            )
        )
    except (NotJsonError, UnreadableError) as error:
        fail(f"source {name} would refuse this payload: {error}")
    if output is Output.json:
        print_json(as_json(explained))
        return
    if not explained:
        say("this payload gives no event")
    for one in explained:
        _print(one)


def _headers(given: Sequence[str]) -> dict[str, str]:
    """Return headers by lower-case name."""
    found = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            fail(f"--header: expected a header like 'X-GitHub-Event: push', found {header!r}", 2)
        found[name.strip().lower()] = value.strip()
    return found


def _source(loaded: Loaded, given: str | None) -> str:
    names = list(loaded.settings.sources)
    if given in names:
        return given
    if given is not None:
        from relay.settings.problems import near

        fail(f"no source is called {given!r} in {loaded.file}{near(given, names)}; known are {', '.join(names)}", 2)
    if len(names) != 1:
        fail(f"choose a source with --source: {', '.join(names) or f'{loaded.file} has none'}", 2)
    return names[0]


def _silences(loaded: Loaded) -> list[Silence]:
    """Return the silences in force; none if there is no relay or database to ask."""
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
            id=one["id"],
            matchers=tuple(one["matchers"]),
            created_by=one["created_by"],
            comment=one["comment"],
            **{name: parse_time(one[name]) for name in times},
        )
        for one in found
    ]


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
    say("  severity from the payload" if event.severity_given else "  severity from the source's default")
    say("  labels " + (", ".join(f"{name}={value!r}" for name, value in event.labels.items()) or "none"))
    for note in event.notes:
        say(f"  note: {note}")
    say("  routes")
    for step in one.routes:
        say(f"    {'✓' if step.matched else '✗'} {step.path}: {step.why}")
    for failure in one.template_failures:
        say(f"  {failure}; the built-in template is used instead")
    for room, held in one.held.items():
        say(f"  suppressed in {room}: {SUPPRESSED[held.reason].format(by=held.by)}")
    if one.suppressed is not None:
        say(f"  {no_message(one.suppressed, event.status)}{'' if one.dropped is None else f' ({one.dropped})'}")
    for delivery in one.deliveries:
        say(f"  {delivery.action} to {delivery.room}, by {delivery.route}{_with_group(delivery)}")
        for number, text in enumerate((delivery.markdown, *delivery.replies)):
            say("\n".join(f"    {'│' if number == 0 else '└'} {line}" for line in text.split("\n")))


def _with_group(delivery: ExplainedDelivery) -> str:
    """Return a phrase with the group of a delivery and the time that it waits; empty if it has no group."""
    from relay.core.words import say_duration

    if delivery.group is None:
        return ""
    labels = ", ".join(f"{name}={value}" for name, value in delivery.group.items())
    waits = f", after {say_duration(delivery.waits_seconds)}" if delivery.waits_seconds >= 1 else ""
    return f", with the group {labels or 'of its route'}{waits}"


def _explain_recorded(loaded: Loaded, name: str, output: Output) -> None:
    """Explain an incident by its number, or an event by its id."""
    from relay.cli.access import access

    reached = access(loaded)
    is_number = name.isascii() and name.isdigit() and len(name) <= LONGEST_NUMBER
    incident = reached.incident(int(name)) if is_number else None
    event = reached.event(name) if incident is None else None
    if output is Output.json and (event or incident):
        print_json(incident or event)
    elif incident is not None:
        from relay.cli.trail import print_incident

        print_incident(incident, reached)
    elif event is not None:
        print_event(event, reached)
    else:
        wanted = "a file, an event's id or an incident's number"
        fail(f"expected {wanted}, found {name!r}, which is no file here, and which {reached.name} does not know")


def print_event(event: dict[str, Any], reached: Daemon | Stored) -> None:
    """Print an event, its incidents and its deliveries."""
    say(f"{event['status']} {event['severity']}: {event['title']}")
    say(f"  id {event['id']}, source {event['source']}, format {event['format']}, key {event['key']}")
    say(f"  received {event['received_at']}, occurred {event['occurred_at']}, {event['state']}")
    if event["set_aside"]:
        say(f"  set aside: {event['set_aside']}")
    if event["labels"]:
        say("  labels " + ", ".join(f"{name}={value!r}" for name, value in event["labels"].items()))
    for note in event["notes"]:
        say(f"  note: {note}")
    _print_fate(event, reached)


def _print_fate(event: dict[str, Any], reached: Daemon | Stored) -> None:
    if event.get("suppressed"):
        say(f"  {no_message(event['suppressed'], event['status'])}")
    for incident in event.get("incidents") or []:
        for sentence in _story(incident, reached):
            say(f"  {sentence}")
    if not event["deliveries"] and not event.get("suppressed") and not _waits(event):
        say("  no delivery yet" if event["state"] == "waiting" else "  no delivery is on record")
    for delivery in reversed(event["deliveries"]):
        say(f"  {delivery['action']} {delivery['id']} to {delivery['room']}, by {delivery['route']}: {_fate(delivery)}")


def _waits(event: dict[str, Any]) -> bool:
    return any(incident["waits"] for incident in event.get("incidents") or [])


def _story(incident: dict[str, Any], reached: Daemon | Stored) -> list[str]:
    """Return the sentences about an incident of an event."""
    from relay.cli.trail import cause

    at = f"incident {incident['id']} in room {incident['room']}"
    sentences = [f"{at}: {incident['state']}{group_phrase(incident['group'])}"]
    if incident["message_id"] is not None:
        edits = incident["edits"]
        sentences[0] += f", in message {incident['message_id']}" + (f", edited {edits} times" if edits else "")
    if incident["waits"]:
        sentences.append(f"  its message follows when its group is due, at {incident['due_at'] or 'the next change'}")
    if (held := incident["held"]) is not None and incident["state"] == "firing":
        sentences.append(f"  suppressed: {cause(reached, held['reason'], held['by'])}")
    if incident["ack"] is not None:
        comment = f": {incident['ack']['comment']}" if incident["ack"]["comment"] else ""
        sentences.append(f"  acknowledged by {incident['ack']['by']}{comment}")
    return sentences


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
