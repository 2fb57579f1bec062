"""`relay status`: the state of the relay on one screen, or in one line for a monitoring plugin."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relay.cli.common import ConfigOption, Output, OutputOption, SilentError, load_to_ask, print_json, print_table, say

CODES = {"ok": (0, "OK"), "warning": (1, "WARNING"), "critical": (2, "CRITICAL")}
"""A plugin's exit code and word, by how well the relay is."""

PLUGIN_PATIENCE = 8.0
"""Seconds to wait for the relay's answer: NRPE and most schedulers of plugins end one after ten."""


def status(
    config: ConfigOption = None,
    nagios: Annotated[bool, typer.Option("--nagios", help="Print a plugin line; exit with 0, 1, 2 or 3.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Print the state of the relay: rooms, feeds, accounts, queue.

    Example: relay status --nagios
    """
    from relay.cli.access import access

    if nagios:
        _nagios(config)
        return
    reached = access(load_to_ask(config))
    state = reached.status()
    if output is Output.json:
        print_json(state)
        return
    ready = "ready" if state["ready"] else f"not ready: {state['why_not_ready']}"
    print(f"relay {state['version']} · {ready} · from {reached.name}")
    deliveries = " · ".join(f"{count} {name}" for name, count in sorted(state["deliveries"].items()))
    print(f"deliveries: {deliveries or 'none yet'}")
    events = state["events"]
    print(
        f"events: {events['total']} · {events['waiting']} waiting · {events['refused']} kept as unreadable · "
        f"{events['set_aside']} set aside"
    )
    print(f"alerts: {state['alerts']['open']} open\n")
    _print_findings(state)
    columns = ("room", "waiting", "oldest", "dead", "rests", "state")
    print_table(columns, [_room_row(room) for room in state["rooms"]], "no rooms")
    for account in state["accounts"]:
        if account.get("refresh_token_expires_at"):
            print(f"\naccount {account['account']}: its refresh token expires at {account['refresh_token_expires_at']}")
    _print_sources(state)


def _print_findings(state: dict[str, Any]) -> None:
    """Print what is wrong and what to do about it, worst first."""
    for one in state["findings"]:
        say(f"{one['severity']}: {one['sentence']}\n    {one['remedy']}")
        for line in one["detail"].splitlines():
            say(f"    {line}")
    print("" if state["findings"] else "all is well\n")


def _room_row(room: dict[str, Any]) -> tuple[str, ...]:
    return (
        room["room"],
        str(room["waiting"]),
        _seconds(room["oldest_seconds"]),
        str(room["dead"]),
        _seconds(room["rests_for_seconds"]),
        _trouble(room),
    )


def _print_sources(state: dict[str, Any]) -> None:
    troubled = [one for one in state.get("sources", ()) if one["waiting"] or one["refused"] or one["silent"]]
    if troubled:
        print()
        rows = [
            (one["source"], str(one["waiting"]), str(one["refused"]), "yes" if one["silent"] else "")
            for one in troubled
        ]
        print_table(("source", "to plan", "refused since the start", "silent"), rows, "")
    if state["feeds"]:
        print()
        rows = [
            (
                f["source"],
                "connected" if f["connected"] else "down",
                f["last_message_at"] or "never",
                f["last_error"] or "",
            )
            for f in state["feeds"]
        ]
        print_table(("feed", "state", "last message", "last error"), rows, "no feeds")


def _aside(room: dict[str, Any]) -> str:
    """Return a phrase about the deliveries that a room has set aside; empty if there are none."""
    if not room.get("set_aside"):
        return ""
    return f"{room['set_aside']} set aside until {room['set_aside_until']} (worst: {room['set_aside_severity']})"


def _trouble(room: dict[str, Any]) -> str:
    """Return in words whether a room gets its messages, and what is set aside."""
    return " · ".join(part for part in (_aside(room), room["state"]) if part)


def _seconds(value: float) -> str:
    from relay.core.words import say_duration

    return say_duration(value) if value else ""


def _nagios(config: Any) -> None:
    from relay.cli.access import Daemon, access

    try:
        reached = access(load_to_ask(config, 3))
        if isinstance(reached, Daemon):
            reached.patience = PLUGIN_PATIENCE
        state = reached.status()
    except SilentError as error:
        print(f"RELAY UNKNOWN - {error}")
        raise typer.Exit(3) from None
    except typer.Exit:
        print("RELAY UNKNOWN - no answer (see standard error)")
        raise typer.Exit(3) from None
    code, word = CODES[state["health"]]
    waiting, dead, aside = (sum(room[name] for room in state["rooms"]) for name in ("waiting", "dead", "set_aside"))
    oldest = max((room["oldest_seconds"] for room in state["rooms"]), default=0)
    figures = f"waiting={waiting} dead={dead} oldest={oldest}s set_aside={aside}"
    print(f"RELAY {word} - {_plain(state['summary'])} | {figures}")
    for one in state["findings"][1:]:
        print(_plain(f"{one['severity']}: {one['sentence']} {one['remedy']}"))
    raise typer.Exit(code)


def _plain(text: str) -> str:
    """Return a text without the sign that begins a plugin's figures."""
    return text.replace("|", "/")
