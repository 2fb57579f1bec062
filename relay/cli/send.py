"""`relay send`: post now, through the real sender."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.common import EXIT_NO, ConfigOption, Output, OutputOption, fail, load_config, print_json, read_input

if TYPE_CHECKING:
    from relay.settings.load import Loaded


def send(
    room: Annotated[str, typer.Argument(help="Name of a configured room.")],
    text: Annotated[str | None, typer.Argument(help="The text; - reads standard input.", show_default=False)] = None,
    config: ConfigOption = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The text is markdown, mentions and links included.")
    ] = False,
    title: Annotated[str | None, typer.Option(help="A first line, in bold.", show_default=False)] = None,
    severity: Annotated[
        str | None, typer.Option(help="critical … info: the first line's sign.", show_default=False)
    ] = None,
    output: OutputOption = Output.text,
) -> None:
    """Post a message now. A running relay posts it with its own account; else this command does.

    Example: relay send noc "change 4711 begins" --title Maintenance --severity info
    """
    from relay.settings.problems import near

    loaded = load_config(config)
    if room not in loaded.settings.rooms:
        fail(f"no room is called {room!r}{near(room, loaded.settings.rooms)}", 2)
    given = read_input("-").decode(errors="replace") if text == "-" else text
    posted = [_post(loaded, room, part) for part in _compose(given, markdown, title, severity)]
    bad = next((answer for answer in posted if answer["outcome"] != "delivered"), None)
    if output is Output.json:
        print_json(posted[0] if len(posted) == 1 else posted)
    elif bad is None:
        print(f"posted to {room}: message {posted[0]['remote_id']}")
    if bad is not None:
        if output is Output.text:
            fail(f"not posted: {bad.get('detail') or bad['outcome']}")
        raise typer.Exit(EXIT_NO)


def _compose(text: str | None, markdown: bool, title: str | None, severity: str | None) -> list[str]:
    from relay.core.event import SEVERITIES
    from relay.core.incident import SIGNS
    from relay.core.markdown import escape_markdown, hard_breaks, numbered, one_line

    signs: dict[str, str] = dict(SIGNS)
    if severity is not None and severity not in signs:
        fail(f"--severity: {severity!r} is not one of {', '.join(SEVERITIES)}", 2)
    if not (text or "").strip() and not (title or "").strip():
        fail("there is nothing to post: give a text, or --title", 2)
    head = []
    if severity is not None:
        head.append(f"{signs[severity]} **{severity.upper()}**")
    if title:
        shown = escape_markdown(one_line(title))
        head.append(shown if severity is not None else f"**{shown}**")
    body = (text or "") if markdown else escape_markdown(text or "")
    return numbered([hard_breaks(" · ".join(head) + "\n" + body)])


def _post(loaded: Loaded, room: str, markdown: str) -> dict[str, Any]:
    from relay.cli.access import daemon_of

    if (daemon := daemon_of(loaded)) is not None:
        answer = daemon.call("POST", "/api/v1/messages", {"room": room, "markdown": markdown})
        if answer is None:
            fail(f"the running relay knows no room {room!r}: it reads its configuration at its start")
        return dict(answer)
    import asyncio

    return asyncio.run(_post_alone(loaded, room, markdown))


async def _post_alone(loaded: Loaded, room: str, markdown: str) -> dict[str, Any]:
    import msgspec

    from relay.app.accounts import make_sender
    from relay.core.markdown import WEBEX_MAX_BYTES, cut, plain_text
    from relay.lifecycle import SystemClock
    from relay.logs import make_log
    from relay.ports import Send
    from relay.settings.secrets import LiveSecret, SecretError

    settings = loaded.settings
    name = settings.rooms[room].account
    try:
        sender = make_sender(
            name, settings.accounts[name], settings, LiveSecret, SystemClock().wall, make_log("warning")
        )
    except SecretError as error:
        fail(f"accounts.{name}: {error}")
    try:
        text = cut(plain_text(markdown), WEBEX_MAX_BYTES)
        outcome = await sender.send(Send(action="post", room=room, markdown=markdown, text=text, delivery="now"))
    finally:
        await sender.close()
    return {"outcome": type(outcome).__name__.lower(), **msgspec.to_builtins(outcome)}
