"""`relay silence`: suppressing alerts for a while, with the options of amtool."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relay.cli.common import LongConfigOption, Output, OutputOption, fail, load_to_ask, print_json, print_table

app = typer.Typer(help="Silences: add, list, expire.", no_args_is_help=True)


@app.command()
def add(
    matchers: Annotated[list[str], typer.Argument(help='Like source=fabric or title=~"link.*"; all must match.')],
    config: LongConfigOption = None,
    comment: Annotated[
        str | None, typer.Option("--comment", "-c", help="The reason; required.", show_default=False)
    ] = None,
    duration: Annotated[str, typer.Option("--duration", "-d", help="Duration, like 2h.")] = "1h",
    start: Annotated[str | None, typer.Option(help="Start, as RFC 3339; default now.", show_default=False)] = None,
    end: Annotated[
        str | None, typer.Option(help="End, as RFC 3339, in place of a duration.", show_default=False)
    ] = None,
    author: Annotated[
        str | None, typer.Option("--author", "-a", help="Your name; default USER@HOST.", show_default=False)
    ] = None,
    output: OutputOption = Output.text,
) -> None:
    """Silence alerts, and print the silence's id. A word without = is the value of the label alertname.

    Example: relay silence add -d 2h -c "change 4711" source=fabric 'title=~"link.*"'
    """
    from relay.cli.access import access
    from relay.core.words import iso, parse_duration, parse_time
    from relay.lifecycle import SystemClock

    if comment is None:
        fail("give a reason with --comment: whoever looks for a missing alert needs it", 2)
    try:
        starts_at = SystemClock().wall() if start is None else parse_time(start)
        ends_at = starts_at + parse_duration(duration) if end is None else parse_time(end)
    except ValueError as error:
        fail(str(error), 2)
    wanted = {
        "matchers": [text if "=" in text or "!~" in text else f'alertname="{text}"' for text in matchers],
        "starts_at": iso(starts_at),
        "ends_at": iso(ends_at),
        "created_by": author or whoever(),
        "comment": comment,
    }
    made = access(load_to_ask(config)).silence(wanted)
    if output is Output.json:
        print_json({"id": made})
    else:
        print(made)


@app.command("list")
def list_(
    config: LongConfigOption = None,
    expired: Annotated[bool, typer.Option("--expired", help="Also list those that have ended.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """List silences.

    Example: relay silence list --expired
    """
    from relay.cli.access import access

    found = [one for one in access(load_to_ask(config)).silences() if expired or one["state"] != "expired"]
    if output is Output.json:
        print_json(found)
        return
    columns = ("id", "state", "matchers", "from", "until", "by", "comment")
    print_table(columns, [_row(one) for one in found], "no silences")


def _row(silence: dict[str, Any]) -> tuple[str, ...]:
    return (
        silence["id"],
        silence["state"],
        " ".join(silence["matchers"]),
        silence["starts_at"],
        silence["ends_at"],
        silence["created_by"],
        silence["comment"],
    )


@app.command()
def expire(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of silences.")],
    config: LongConfigOption = None,
    output: OutputOption = Output.text,
) -> None:
    """End silences now. Messages follow for alerts that still fire.

    Example: relay silence expire 3d4ac67d-7388-4a5e-b66f-6ba78e0f7492
    """
    from relay.cli.access import access

    reached = access(load_to_ask(config))
    answers = {silence: reached.expire(silence) for silence in ids}
    if output is Output.json:
        print_json([{"id": silence, "expired": ended} for silence, ended in answers.items() if ended is not None])
    for silence, ended in answers.items():
        if ended is not None and output is Output.text:
            print(f"{silence} {'ended' if ended else 'had ended already'}")
    if unknown := [silence for silence, ended in answers.items() if ended is None]:
        fail(f"no silence has the id {', '.join(unknown)} ({reached.name} was asked)")


def whoever() -> str:
    """Return who uses the terminal, as USER@HOST."""
    import getpass
    import socket

    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return "somebody"
