"""`relay messages`: listing the messages of a room, and deleting those that this account has posted."""

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
    from relay.cli.session import AccountSession

app = typer.Typer(help="Messages in a room: list, delete.", no_args_is_help=True)

LONGEST_LINE = 80
"""Most characters of a message that a list shows."""
MineOption = Annotated[bool, typer.Option("--mine", help="Only messages that this account has posted.")]
BeforeOption = Annotated[
    str | None,
    typer.Option(help="Only messages before a time (RFC 3339), or older than a duration (2h).", show_default=False),
]
AfterOption = Annotated[
    str | None,
    typer.Option(help="Only messages after a time (RFC 3339), or newer than a duration (2h).", show_default=False),
]


@app.command("list")
def list_(
    room: RoomArgument,
    config: ConfigOption = None,
    account: AccountOption = None,
    mine: MineOption = False,
    before: BeforeOption = None,
    after: AfterOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most messages to list.")] = 50,
    output: OutputOption = Output.text,
) -> None:
    """List a room's messages, newest first.

    Example: relay messages list noc --mine --after 2h
    """
    from itertools import islice

    from relay.cli.session import AccountSession, account_for

    loaded = load_config(config)
    with AccountSession(loaded, account_for(loaded, account, room)) as desk:
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
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of messages.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    account: AccountOption = None,
    mine: MineOption = False,
    before: BeforeOption = None,
    after: AfterOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be deleted.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Delete messages, oldest first: by id, or all that this account has posted. This can't be undone.

    Example: relay messages delete noc --mine --before 7d --dry-run
    """
    from relay.cli.session import AccountSession, account_for

    if bool(ids) == mine:
        fail("give either ids, or --mine for all messages that this account has posted", 2)
    loaded = load_config(config)
    with AccountSession(loaded, account_for(loaded, account, room)) as desk:
        title, messages = _messages(desk, room, mine, before, after)
        wanted = [one for one in messages if mine or one["id"] in (ids or ())]
        wanted.reverse()
        if missing := set(ids or ()) - {one["id"] for one in wanted}:
            fail(f"no such messages in the room {title!r}: {', '.join(sorted(missing))}")
        if dry_run or not wanted:
            _print_wanted(wanted, title, output)
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
    desk: AccountSession, room: str, mine: bool, before: str | None, after: str | None
) -> tuple[str, Iterator[dict[str, Any]]]:
    """Return the title of a room, and those of its messages that are asked for, newest first."""
    until, since = _moment("--before", before), _moment("--after", after)
    found = desk.ask("find", room=room)
    me = desk.ask("me")
    bot = me["type"] == "bot" and found["type"] == "group"
    if bot and mine:
        fail("Webex does not show a bot its own messages in a group room; use an account with a person's token")
    if bot:
        complain("Webex shows a bot only the messages that mention it")
    where = {"room_id": found["id"]} if found["id"] else {"person": found["title"]}
    author = me["id"] if mine else None
    return found["title"], _wanted(desk, {**where, "mentioning_me": bot}, author, until, since)


def _wanted(
    desk: AccountSession, where: dict[str, object], author: str | None, until: float | None, since: float | None
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
    """Return the Unix seconds of a time, or of the moment that is a duration ago."""
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
        fail(f"{option}: {error}, or a duration like 2h", 2)


def _print_wanted(wanted: list[dict[str, Any]], title: str, output: Output) -> None:
    if output is Output.json:
        print_json(wanted)
        return
    rows = [(one["created"], one["personEmail"], _first_line(one), one["id"]) for one in wanted]
    print_table(["created", "by", "text", "id"], rows, f"nothing to delete in {title!r}")
    if wanted:
        complain(f"{len(wanted)} in {title!r} would be deleted")


def _delete(desk: AccountSession, wanted: list[dict[str, Any]]) -> int:
    """Delete messages one by one, with progress; return how many were deleted, also after an interrupt."""
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
        complain(f"interrupted: deleted {deleted} of {len(wanted)}; the others are unchanged")
    except typer.Exit:
        complain(f"deleted {deleted} of {len(wanted)} before the error; the others are unchanged")
        raise
    return deleted


def _first_line(message: dict[str, Any]) -> str:
    lines = str(message["text"] or message["markdown"]).split("\n")
    count = len(message["files"])
    files = f"📎 {count} file{'' if count == 1 else 's'}" if count else ""
    more = "…" if len(lines) > 1 or len(lines[0]) > LONGEST_LINE else ""
    return " ".join(part for part in (files, lines[0][:LONGEST_LINE] + more) if part)
