"""`relay diff`: the effect of a changed configuration on the events of the last day."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.common import EXIT_NO, Output, OutputOption, complain, fail, load_config, print_json, read_input, say

if TYPE_CHECKING:
    from relay.settings.load import Loaded


def diff(
    old: Annotated[Path, typer.Argument(help="The configuration as it is.")],
    new: Annotated[Path, typer.Argument(help="The configuration as it would be.")],
    events: Annotated[
        str | None,
        typer.Option(help="A file of events, as `relay events tail -o json` prints them.", show_default=False),
    ] = None,
    last: Annotated[str, typer.Option(help="Without a file: use the events of the last 24h, ….")] = "24h",
    output: OutputOption = Output.text,
) -> None:
    """List the recorded events that would go to other rooms. Exits with 1 if there are any.

    Example: relay diff /etc/relay/relay.yaml relay.new.yaml --last 24h
    """
    from relay.app.trial.difference import UnreadableEventError, difference, event_of, when_of

    before, after = load_config(old, EXIT_NO), load_config(new, EXIT_NO)
    try:
        found = [event_of(shown) for shown in _shown(before, events, last)]
    except UnreadableEventError as error:
        fail(f"{events or 'the record'}: {error}", 2)
    try:
        blind = sorted(name for name, when in when_of(after).items() if when.reads_payload)
        moved = difference(found, before, after)
    except ValueError as error:
        fail(f"when: {error}; see relay check", EXIT_NO)
    if blind:
        complain(
            f"the record has no payloads, so all events count as wanted whose `when` reads one: {', '.join(blind)}"
        )
    if output is Output.json:
        print_json(
            [{"event_id": m.event.id, "title": m.event.title, "before": m.before, "after": m.after} for m in moved]
        )
    else:
        for one in moved:
            event = one.event
            say(f"{event.source} {event.status} {event.severity}: {event.title}")
            say(f"  {', '.join(one.before) or 'no room'} → {', '.join(one.after) or 'no room'}")
        say(f"{len(moved)} of {len(found)} events would go to other rooms")
    if moved:
        raise typer.Exit(EXIT_NO)


def _shown(loaded: Loaded, file: str | None, last: str) -> list[dict[str, Any]]:
    """Return events in the form of the API, oldest first."""
    import msgspec

    from relay.cli.history import events_of_the_last

    if file is None:
        return events_of_the_last(loaded, last)
    text = read_input(file)
    try:
        listed = msgspec.json.decode(text) if text.lstrip().startswith(b"[") else _lines(text)
    except msgspec.DecodeError as error:
        fail(f"{file}: expected events as JSON, in a list or one per line: {error}", 2)
    if not all(isinstance(one, dict) for one in listed):
        fail(f"{file}: expected events as JSON objects, found other values", 2)
    return list(listed)


def _lines(text: bytes) -> list[Any]:
    """Return the JSON values of a text with one per line."""
    import msgspec

    return [msgspec.json.decode(line) for line in text.splitlines() if line.strip()]
