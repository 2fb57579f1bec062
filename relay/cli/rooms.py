"""`relay rooms`: the rooms of an account, by configured name, id or title."""

from __future__ import annotations

from collections.abc import Sequence
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
    say,
)

if TYPE_CHECKING:
    from relay.cli.session import AccountSession

app = typer.Typer(help="Rooms of an account: list, show, create, members, add-member.", no_args_is_help=True)

AccountOption = Annotated[
    str | None,
    typer.Option("--account", "-a", help="Name of an account; default: the only one.", show_default=False),
]
RoomArgument = Annotated[str, typer.Argument(metavar="ROOM", help="A configured name, an id, or a title.")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    account: AccountOption = None,
    title: Annotated[
        str | None, typer.Option(help="Only rooms whose title begins with this.", show_default=False)
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--type", help="Only rooms of this type: group or direct.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most rooms to list.")] = 1_000,
    output: OutputOption = Output.text,
) -> None:
    """List the rooms of an account, latest activity first.

    Example: relay rooms list --title "SnV" --type group
    """
    from relay.cli.session import AccountSession, account_for

    if kind not in (None, "group", "direct"):
        fail(f"--type: expected group or direct, found {kind!r}", 2)
    loaded = load_config(config)
    found: list[dict[str, Any]] = []
    with AccountSession(loaded, account_for(loaded, account)) as desk:
        for page in desk.pages("rooms", type=kind):
            found += [room for room in page if title is None or room["title"].lower().startswith(title.lower())]
            if len(found) >= limit:
                break
    if output is Output.json:
        print_json(found[:limit])
        return
    rows = [
        (room["title"], room["type"], room["lastActivity"] or room["created"], room["id"]) for room in found[:limit]
    ]
    print_table(["title", "type", "last activity", "id"], rows, "no rooms")


@app.command()
def show(
    room: RoomArgument, config: ConfigOption = None, account: AccountOption = None, output: OutputOption = Output.text
) -> None:
    """Print a room as the service describes it.

    Example: relay rooms show noc
    """
    from relay.cli.session import AccountSession, account_for

    loaded = load_config(config)
    with AccountSession(loaded, account_for(loaded, account, room)) as desk:
        found = desk.ask("find", room=room)
    if output is Output.json:
        print_json(found)
        return
    for name, value in found.items():
        if value not in ("", None):
            say(f"{name}: {value}")


@app.command()
def create(
    title: Annotated[str, typer.Argument(help="The new room's title.")],
    members: Annotated[
        list[str] | None,
        typer.Option("--member", "-m", help="An e-mail address to add; repeatable.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    account: AccountOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Make a room, and print its id.

    Example: relay rooms create "SnV NOC" --member noc@example.net
    """
    from relay.cli.session import AccountSession, account_for

    if not title.strip():
        fail("expected a title for the room, found an empty text", 2)
    _check_emails(members or ())
    loaded = load_config(config)
    with AccountSession(loaded, account_for(loaded, account)) as desk:
        made = desk.ask("create", title=title)
        if output is Output.text:
            print(made["id"], flush=True)
        added = _add(desk, made["id"], members or ())
    if output is Output.json:
        print_json({**made, "members": added})
    if len(added) < len(members or ()):
        raise typer.Exit(EXIT_NO)


@app.command("members")
def members_(
    room: RoomArgument, config: ConfigOption = None, account: AccountOption = None, output: OutputOption = Output.text
) -> None:
    """List who is in a room.

    Example: relay rooms members noc
    """
    from relay.cli.session import AccountSession, account_for

    loaded = load_config(config)
    with AccountSession(loaded, account_for(loaded, account, room)) as desk:
        room_id = _with_id(desk.ask("find", room=room))
        found = [one for page in desk.pages("members", room_id=room_id) for one in page]
    if output is Output.json:
        print_json(found)
        return
    rows = [(one["personDisplayName"], one["personEmail"], "moderator" if one["isModerator"] else "") for one in found]
    print_table(["name", "e-mail", "role"], rows, "nobody")


@app.command("add-member")
def add_member(
    room: RoomArgument,
    emails: Annotated[list[str], typer.Argument(metavar="EMAIL...", help="E-mail addresses of the people to add.")],
    config: ConfigOption = None,
    account: AccountOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Add people to a room.

    Example: relay rooms add-member noc anna@example.net ben@example.net
    """
    from relay.cli.session import AccountSession, account_for

    _check_emails(emails)
    loaded = load_config(config)
    with AccountSession(loaded, account_for(loaded, account, room)) as desk:
        added = _add(desk, _with_id(desk.ask("find", room=room)), emails)
    if output is Output.json:
        print_json({"added": added})
    else:
        for email in added:
            print(f"added {email}")
    if len(added) < len(emails):
        raise typer.Exit(EXIT_NO)


def _check_emails(emails: Sequence[str]) -> None:
    """Exit if one is not an e-mail address, before anything is changed."""
    for email in emails:
        name, _, host = email.partition("@")
        if not (name and host) or any(sign.isspace() or sign in "<>," for sign in email):
            fail(f"expected an e-mail address like anna@example.net, found {email!r}", 2)


def _add(desk: AccountSession, room_id: str, emails: Sequence[str]) -> list[str]:
    """Add people; return those who were added. If one is refused, the others are still added."""
    added = []
    for email in emails:
        try:
            desk.ask("add", room_id=room_id, email=email)
        except typer.Exit:
            complain(f"{email} was not added")
        else:
            added.append(email)
    return added


def _with_id(room: dict[str, Any]) -> str:
    if not room["id"]:
        fail(f"expected a group room, found the direct room with {room['title']}, which always has two members", 2)
    return str(room["id"])
