"""`relay send`: posting a message now, through the real sender."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from relay.cli import completion
from relay.cli.common import EXIT_NO, ConfigOption, Output, OutputOption, fail, load_config, print_json, read_input

if TYPE_CHECKING:
    from relay.cli.session import AccountSession
    from relay.settings.load import Loaded


def send(
    room: Annotated[str, typer.Argument(help="Name of a configured room.", autocompletion=completion.rooms)],
    text: Annotated[str | None, typer.Argument(help="The text; - for standard input.", show_default=False)] = None,
    config: ConfigOption = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The text is markdown, with mentions and links.")
    ] = False,
    title: Annotated[str | None, typer.Option(help="A first line, in bold.", show_default=False)] = None,
    severity: Annotated[
        str | None, typer.Option(help="critical … info, shown in the first line.", show_default=False)
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("--file", "-f", help="A file, or the public address of a file; repeatable.", show_default=False),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(help="A file with an adaptive card; clients without cards show the text.", show_default=False),
    ] = None,
    output: OutputOption = Output.text,
) -> None:
    """Post a message now, with files in its thread, through a running relay or directly.

    Example: relay send noc "change 4711 begins" --title Maintenance --severity info --file plan.pdf
    """
    from relay.cli.session import AccountSession as OpenDesk
    from relay.settings.problems import near

    loaded = load_config(config)
    if room not in loaded.settings.rooms:
        fail(f"no room is called {room!r}{near(room, loaded.settings.rooms)}", 2)
    _check_files(loaded, room, files or ())
    given = read_input("-").decode(errors="replace") if text == "-" else text
    shown = None if card is None else _card(card)
    parts = _compose(given, markdown, title, severity, alone=not files)
    try:
        with OpenDesk(loaded, loaded.settings.rooms[room].account) as desk:
            posted = _post(desk, room, parts, shown, files or ())
    except KeyboardInterrupt:
        fail("interrupted; `relay messages list` shows what was posted")
    bad = next((answer for answer in posted if answer["outcome"] != "delivered"), None)
    if output is Output.json:
        print_json(posted)
    elif bad is None:
        print(f"posted to {room}: message {posted[0]['remote_id']}")
    if bad is not None:
        if output is Output.text:
            done = sum(one["outcome"] == "delivered" for one in posted)
            behind = f" (posted before that: {done})" if done else ""
            fail(f"not posted: {bad.get('detail') or bad['outcome']}{behind}")
        raise typer.Exit(EXIT_NO)


def _post(
    desk: AccountSession, room: str, parts: Sequence[str], card: dict[str, Any] | None, files: Sequence[str]
) -> list[dict[str, Any]]:
    """Post the parts, the card with the first, then the files in the thread of the first; return the outcomes."""
    posted = [desk.post(room, markdown=part, card=card if number == 0 else None) for number, part in enumerate(parts)]
    if all(one["outcome"] == "delivered" for one in posted):
        parent = posted[0].get("remote_id") if posted else None
        posted += [
            desk.post(room, link=name, parent=parent) if _is_address(name) else desk.upload(room, name, parent)
            for name in files
        ]
    return posted


def _compose(text: str | None, markdown: bool, title: str | None, severity: str | None, *, alone: bool) -> list[str]:
    """Return the parts of the text; none if there is no text. Exits then if there is nothing else to post (`alone`)."""
    from relay.core.markdown import escape_markdown, hard_breaks, numbered, one_line
    from relay.core.phrases import SIGNS
    from relay.core.severity import SEVERITIES, severity_of

    known = None if severity is None else severity_of(severity.strip())
    if severity is not None and known is None:
        fail(f"--severity: expected one of {', '.join(SEVERITIES)}, or a word like P1; found {severity!r}", 2)
    if not (text or "").strip() and not (title or "").strip():
        if alone:
            fail("there is nothing to post: give a text, --title, or --file", 2)
        return []
    head = []
    if known is not None:
        head.append(f"{SIGNS[known]} **{known.upper()}**")
    if title:
        shown = escape_markdown(one_line(title))
        head.append(shown if known is not None else f"**{shown}**")
    body = (text or "") if markdown else escape_markdown(text or "")
    return numbered([hard_breaks(" · ".join(head) + "\n" + body)])


def _is_address(name: str) -> bool:
    return name.lower().startswith(("http://", "https://"))


def _check_files(loaded: Loaded, room: str, files: Sequence[str]) -> None:
    """Exit if a file can't be posted, before anything is posted."""
    if files and loaded.settings.accounts[loaded.settings.rooms[room].account].type == "spika":
        fail(f"--file: room {room} is a Spika room, and Spika accepts no files from an access token", 2)
    for name in files:
        if not _is_address(name):
            _check_file(name)
        elif not urlsplit(name).hostname:
            fail(f"--file: expected an address like https://graphs.example.net/101.png, found {name!r}", 2)


def _check_file(name: str) -> None:
    from relay.ports import LARGEST_FILE

    path = Path(name)
    if not path.is_file():
        fail(f"--file: there is no file {name}; an address begins with https://", 2)
    if path.stat().st_size > LARGEST_FILE:
        fail(f"--file: {name} is larger than the {LARGEST_FILE // 10**6} MB that Webex accepts", 2)


def _card(path: Path) -> dict[str, Any]:
    import msgspec

    from relay.core.card import misfit

    try:
        card = msgspec.json.decode(read_input(str(path)))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fail(f"--card: {path} is not JSON: {error}", 2)
    if (wrong := misfit(card)) is not None:
        fail(f"--card: {path}: {wrong}", 2)
    return dict(card)
