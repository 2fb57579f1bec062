"""`relay incidents`, `relay ack` and `relay unack`: what is open, and who has it."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.common import (
    ConfigOption,
    LongConfigOption,
    Output,
    OutputOption,
    RoomOption,
    fail,
    load_to_ask,
    print_json,
    print_table,
)
from relay.cli.silence import whoever


def incidents(
    config: ConfigOption = None,
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended, too.")] = False,
    room: RoomOption = None,
    output: OutputOption = Output.text,
) -> None:
    """List incidents, the worst first.

    Example: relay incidents --room noc
    """
    from relay.cli.access import access

    found = [one for one in access(load_to_ask(config)).incidents(ended=ended) if room in (None, one["room"])]
    if output is Output.json:
        print_json(found)
        return
    rows = [
        (str(one["id"]), one["room"], one["held"] or one["state"], one["severity"], one["title"], one["source"],
         one["started_at"], one["acknowledged_by"] or "")
        for one in found
    ]  # fmt: skip
    print_table(
        ("id", "room", "state", "severity", "title", "source", "since", "acknowledged by"), rows, "nothing is open"
    )


IncidentArgument = Annotated[int, typer.Argument(metavar="INCIDENT", help="Its number, as `relay incidents` tells.")]
CommentOption = Annotated[str, typer.Option("--comment", "-c", help="What you have to say of it.")]
AuthorOption = Annotated[str | None, typer.Option("--author", "-a", help="Who; you.", show_default=False)]


def ack(
    incident: IncidentArgument,
    config: LongConfigOption = None,
    comment: CommentOption = "",
    author: AuthorOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Say that someone has it.

    Its messages show who, there are no reminders of it any more, and rooms that were not told of it yet are not told.

    Example: relay ack 17 -c "on my way"
    """
    from relay.cli.access import access

    reached = access(load_to_ask(config))
    by = author or whoever()
    _report(reached.acknowledge(incident, by, comment), incident, by, reached.name, output, "is acknowledged by")


def unack(
    incident: IncidentArgument,
    config: LongConfigOption = None,
    comment: CommentOption = "",
    author: AuthorOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Withdraw an acknowledgement: nobody has it any more, and reminders begin again.

    Example: relay unack 17 -c "I am off duty"
    """
    from relay.cli.access import access

    reached = access(load_to_ask(config))
    by, said = author or whoever(), "is not acknowledged any more, says"
    _report(reached.unacknowledge(incident, by, comment), incident, by, reached.name, output, said)


def _report(found: bool, incident: int, by: str, asked: str, output: Output, said: str) -> None:
    if not found:
        fail(f"no incident is open under the number {incident} ({asked} was asked; see `relay incidents`)")
    if output is Output.json:
        print_json({"incident": incident, "by": by})
    else:
        print(f"incident {incident} {said} {by}")
