"""`relay incidents`, `relay ack` and `relay unack`: the open incidents, and who has acknowledged them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relay.cli.common import (
    ConfigOption,
    Output,
    OutputOption,
    RoomOption,
    fail,
    load_to_ask,
    print_json,
    print_table,
    refuse_comment,
    remark_unknown,
)
from relay.cli.silence import whoever

COLUMNS = ("id", "room", "state", "severity", "title", "source", "since", "acknowledged by")


def incidents(
    config: ConfigOption = None,
    ended: Annotated[bool, typer.Option("--ended", help="Also list those that have ended.")] = False,
    room: RoomOption = None,
    output: OutputOption = Output.text,
) -> None:
    """List incidents, worst first.

    Example: relay incidents --room noc
    """
    from relay.cli.access import access

    loaded = load_to_ask(config)
    remark_unknown(loaded, "room", room)
    found = [one for one in access(loaded).incidents(ended=ended) if room in (None, one["room"])]
    if output is Output.json:
        print_json(found)
        return
    print_table(COLUMNS, [row(one) for one in found], "no open incidents")


def _state(incident: dict[str, Any]) -> str:
    """Return the state of an incident in its room, in one word."""
    if incident["undelivered"]:
        return "undelivered"
    if incident["held"] and incident["state"] == "firing":
        return str(incident["held"])
    return "flapping" if incident["flapping"] else str(incident["state"])


def row(incident: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of `COLUMNS`."""
    return (
        str(incident["id"]),
        incident["room"],
        _state(incident),
        incident["severity"],
        incident["name"],
        incident["source"],
        incident["started_at"],
        incident["acknowledged_by"] or "",
    )


IncidentArgument = Annotated[
    int, typer.Argument(metavar="INCIDENT", help="The incident's number, as `relay incidents` shows it.")
]
CommentOption = Annotated[str, typer.Option("--comment", "-m", help="A comment, shown with the alert.")]
AuthorOption = Annotated[
    str | None, typer.Option("--author", "-a", help="Your name; default USER@HOST.", show_default=False)
]


def ack(
    incident: IncidentArgument,
    config: ConfigOption = None,
    comment: CommentOption = "",
    author: AuthorOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Acknowledge an incident.

    Its messages show who has acknowledged it, and reminders stop. Rooms that have no message about it yet get none.

    Example: relay ack 17 -m "on my way"
    """
    from relay.cli.access import access

    refuse_comment(config)
    reached = access(load_to_ask(config))
    by = author or whoever()
    _report(reached.acknowledge(incident, by, comment), incident, by, reached.name, output, "is acknowledged by")


def unack(
    incident: IncidentArgument,
    config: ConfigOption = None,
    comment: CommentOption = "",
    author: AuthorOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Withdraw an acknowledgement; reminders begin again.

    Example: relay unack 17 -m "I am off duty"
    """
    from relay.cli.access import access

    refuse_comment(config)
    reached = access(load_to_ask(config))
    by, change = author or whoever(), "is no longer acknowledged, by"
    _report(reached.unacknowledge(incident, by, comment), incident, by, reached.name, output, change)


def _report(found: bool, incident: int, by: str, asked: str, output: Output, change: str) -> None:
    if not found:
        fail(f"no incident is open with the number {incident} ({asked} was asked; see `relay incidents`)")
    if output is Output.json:
        print_json({"incident": incident, "by": by})
    else:
        print(f"incident {incident} {change} {by}")
