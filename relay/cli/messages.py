"""`relay messages`: what stands in a room, and deleting what this account has posted there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.common import (
    EXIT_NO,
    ConfigOption,
    Output,
    OutputOption,
    complain,
    fail,
    load_config,
    print_json,
    print_table,
)
from relay.cli.rooms import AccountOption, RoomArgument

if TYPE_CHECKING:
    from relay.cli.desk import Desk

app = typer.Typer(help="Messages in a room: list, delete.", no_args_is_help=True)

LONGEST_LINE = 80
"""Characters that a list shows of a message."""
MineOption = Annotated[bool, typer.Option("--mine", help="Those that this account has posted.")]
BeforeOption = Annotated[
    str | None, typer.Option(help="Posted before a time (RFC 3339), or so long ago (2h).", show_default=False)
]
AfterOption = Annotated[
    str | None, typer.Option(help="Posted after a time (RFC 3339), or within so long (2h).", show_default=False)
]


@app.command("list")
def list_(
    room: RoomArgument,
    config: ConfigOption = None,
    account: AccountOption = None,
    mine: MineOption = False,
    before: BeforeOption = None,
    after: AfterOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at the most.")] = 50,
    output: OutputOption = Output.text,
) -> None:
    """List a room's messages, newest first.

    Example: relay messages list noc --mine --after 2h
    """
    from itertools import islice

    from relay.cli.desk import Desk, account_for

    loaded = load_config(config)
    with Desk(loaded, account_for(loaded, account, room)) as desk:
        _, messages = _messages(desk, room, mine, before, after)
        found = list(islice(messages, limit))
    if output is Output.json:
        print_json(found)
        return
    rows = [(one["created"], one["personEmail"], _first_line(one), one["id"]) for one in found]
    print_table(["created", "by", "text", "id"], rows, "no messages")


@app.command()
def delete(
    room: RoomArgument,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Messages by id.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    account: AccountOption = None,
    mine: MineOption = False,
    before: BeforeOption = None,
    after: AfterOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell which.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Delete messages, the oldest first: by id, or all that this account has posted. There is no way back.

    Example: relay messages delete noc --mine --before 7d --dry-run
    """
    from relay.cli.desk import Desk, account_for

    if bool(ids) == mine:
        fail("which messages? --mine for all that this account has posted, or ids; not both", 2)
    loaded = load_config(config)
    with Desk(loaded, account_for(loaded, account, room)) as desk:
        title, messages = _messages(desk, room, mine, before, after)
        wanted = [one for one in messages if mine or one["id"] in (ids or ())]
        wanted.reverse()
        if missing := set(ids or ()) - {one["id"] for one in wanted}:
            fail(f"not in the room {title!r}: {', '.join(sorted(missing))}")
        if dry_run or not wanted:
            _tell(wanted, title, output)
            return
        if not yes:
            count = f"{len(wanted)} message{'' if len(wanted) == 1 else 's'}"
            typer.confirm(f"Delete {count} in the room {title!r}, for everybody and for good?", abort=True, err=True)
        deleted = _delete(desk, wanted)
    if output is Output.json:
        print_json({"room": title, "wanted": len(wanted), "deleted": deleted})
    else:
        print(f"deleted {deleted} of {len(wanted)} messages in {title!r}")
    if deleted < len(wanted):
        raise typer.Exit(EXIT_NO)


def _messages(
    desk: Desk, room: str, mine: bool, before: str | None, after: str | None
) -> tuple[str, Iterator[dict[str, Any]]]:
    """The room's title, and its messages that are wanted, newest first."""
    until, since = _moment("--before", before), _moment("--after", after)
    found = desk.ask("find", room=room)
    me = desk.ask("me")
    bot = me["type"] == "bot" and found["type"] == "group"
    if bot and mine:
        fail("a bot is not shown its own messages in a group room; an account with a person's token is, if it is in it")
    if bot:
        complain("a bot is shown only the messages that mention it")
    where = {"room_id": found["id"]} if found["id"] else {"person": found["title"]}
    author = me["id"] if mine else None
    return found["title"], _wanted(desk, {**where, "mentioning_me": bot}, author, until, since)


def _wanted(
    desk: Desk, where: dict[str, object], author: str | None, until: float | None, since: float | None
) -> Iterator[dict[str, Any]]:
    from relay.core.words import iso, parse_time

    for page in desk.pages("messages", **where, before=None if until is None else iso(until)):
        for one in page:
            at = parse_time(one["created"])
            if since is not None and at < since:
                return
            if (until is None or at < until) and author in (None, one["personId"]):
                yield one


def _moment(option: str, text: str | None) -> float | None:
    """Unix seconds of a time, or of so long ago."""
    from relay.core.words import parse_duration, parse_time
    from relay.lifecycle import SystemClock

    if text is None:
        return None
    try:
        return SystemClock().wall() - parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_time(text)
    except ValueError as error:
        fail(f"{option}: {error}; or so long ago, like 2h", 2)


def _tell(wanted: list[dict[str, Any]], title: str, output: Output) -> None:
    if output is Output.json:
        print_json(wanted)
        return
    rows = [(one["created"], one["personEmail"], _first_line(one), one["id"]) for one in wanted]
    print_table(["created", "by", "text", "id"], rows, f"nothing to delete in {title!r}")
    if wanted:
        complain(f"{len(wanted)} in {title!r} would be deleted")


def _delete(desk: Desk, wanted: list[dict[str, Any]]) -> int:
    """Delete one after the other, with progress; how many were, also where that was interrupted."""
    import sys

    from rich.console import Console
    from rich.progress import track

    deleted = 0
    try:
        shown = track(wanted, "deleting", console=Console(stderr=True), disable=not sys.stderr.isatty())
        for one in shown:
            desk.ask("delete", message=one["id"])
            deleted += 1
    except KeyboardInterrupt:
        complain("stopped; what was deleted is gone, the rest stands")
    except typer.Exit:
        complain(f"deleted {deleted} of {len(wanted)} before that; the rest stands")
        raise
    return deleted


def _first_line(message: dict[str, Any]) -> str:
    lines = str(message["text"] or message["markdown"]).split("\n")
    count = len(message["files"])
    files = f"📎 {count} file{'' if count == 1 else 's'}" if count else ""
    more = "…" if len(lines) > 1 or len(lines[0]) > LONGEST_LINE else ""
    return " ".join(part for part in (files, lines[0][:LONGEST_LINE] + more) if part)
