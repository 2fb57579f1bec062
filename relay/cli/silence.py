"""`relay silence`: suppressing alerts for a while, with the options of amtool."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from relay.cli.common import (
    ConfigOption,
    Output,
    OutputOption,
    complain,
    fail,
    load_to_ask,
    print_json,
    print_table,
    refuse_comment,
)

app = typer.Typer(help="Silences: add, list, expire.", no_args_is_help=True)
COLUMNS = ("id", "state", "matchers", "from", "until", "by", "comment")
SHORTEST = 8
"""Least characters of an id to show."""
MOST_NAMED = 5
"""Most silences that an error names."""


@app.command()
def add(
    matchers: Annotated[list[str], typer.Argument(help='Like source=fabric or title=~"link.*"; all must match.')],
    config: ConfigOption = None,
    comment: Annotated[
        str | None, typer.Option("--comment", "-m", help="The reason; required.", show_default=False)
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
    """Silence alerts; print the silence's id, and to standard error how many open alerts it suppresses.

    Example: relay silence add -d 2h -m "change 4711" source=fabric 'title=~"link.*"'
    """
    from relay.cli.access import access
    from relay.core.words import iso, parse_duration, parse_time
    from relay.lifecycle import SystemClock

    refuse_comment(config)
    if comment is None:
        fail("give a reason with -m (--comment): whoever looks for a missing alert needs it", 2)
    if words := [text for text in matchers if "=" not in text and "!~" not in text]:
        fail(f"expected matchers like alertname={words[0]}, found the word {' and '.join(map(repr, words))}", 2)
    try:
        starts_at = SystemClock().wall() if start is None else parse_time(start)
        ends_at = starts_at + parse_duration(duration) if end is None else parse_time(end)
    except ValueError as error:
        fail(str(error), 2)
    wanted = {
        "matchers": matchers,
        "starts_at": iso(starts_at),
        "ends_at": iso(ends_at),
        "created_by": author or whoever(),
        "comment": comment,
    }
    reached = access(load_to_ask(config))
    made, matching = reached.silence(wanted), reached.firing(matchers)
    if output is Output.json:
        print_json({"id": made, "open_alerts": matching})
        return
    print(made)
    complain(_effect(matching, begins_later=starts_at > SystemClock().wall()))


def _effect(matching: int, *, begins_later: bool) -> str:
    """Return a sentence about the open alerts that a new silence matches."""
    alerts = f"{matching or 'no'} open alert{'s' if matching > 1 else ''}"
    if begins_later:
        return f"the silence begins later; it matches {alerts} now"
    hint = "" if matching else "; `relay incidents` lists the open ones"
    return f"the silence suppresses {alerts} now{hint}"


@app.command("list")
def list_(
    config: ConfigOption = None,
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
    print_table(COLUMNS, [row(one, found) for one in found], "no silences")


def _short(whole: str, found: Sequence[dict[str, Any]]) -> str:
    """Return as much of an id as `relay silence expire` needs; the whole id if the output is not a terminal."""
    if not sys.stdout.isatty():
        return whole
    fits = (whole[:size] for size in range(SHORTEST, len(whole)))
    return next((short for short in fits if sum(one["id"].startswith(short) for one in found) == 1), whole)


def row(silence: dict[str, Any], found: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return a row of `COLUMNS` for one of the silences that were found."""
    return (
        _short(silence["id"], found),
        silence["state"],
        " ".join(silence["matchers"]),
        silence["starts_at"],
        silence["ends_at"],
        silence["created_by"],
        silence["comment"],
    )


@app.command()
def expire(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of silences, or their first characters.")],
    config: ConfigOption = None,
    output: OutputOption = Output.text,
) -> None:
    """End silences now. Messages follow for alerts that still fire.

    Example: relay silence expire 3d4ac67d
    """
    from relay.cli.access import access

    reached = access(load_to_ask(config))
    known = reached.silences()
    answers = {whole: reached.expire(whole) for whole in [whole_id(given, known) for given in ids]}
    if output is Output.json:
        print_json([{"id": silence, "expired": ended} for silence, ended in answers.items() if ended is not None])
    for silence, ended in answers.items():
        if ended is not None and output is Output.text:
            print(f"{silence} {'ended' if ended else 'had ended already'}")
    if unknown := [silence for silence, ended in answers.items() if ended is None]:
        fail(f"no silence has the id {', '.join(unknown)} ({reached.name} was asked)")


def whole_id(given: str, known: Sequence[dict[str, Any]]) -> str:
    """Return the id that begins with the given text; exit if several do. A silence in force precedes an expired one."""
    found = [one for one in known if given and one["id"].startswith(given)]
    found = [one for one in found if one["id"] == given or one["state"] != "expired"] or found
    if len(found) > 1:
        ids = ", ".join(one["id"] for one in found[:MOST_NAMED])
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        fail(f"{len(found)} silences begin with {given!r}: {ids}{more}; give more characters", 2)
    return str(found[0]["id"]) if found else given


def whoever() -> str:
    """Return who uses the terminal, as USER@HOST."""
    import getpass
    import socket

    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return "somebody"
