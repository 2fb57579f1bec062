"""`relay status`: the state of the relay on one screen, or in one line for a monitoring plugin."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relay.cli.common import ConfigOption, Output, OutputOption, SilentError, load_to_ask, print_json, print_table

OLD = 300.0
"""Seconds that a delivery may wait before the plugin line warns."""

FAILING = 60.0
"""Seconds that a room may fail before the plugin line warns."""


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
        f"{events['set_aside']} set aside\n"
    )
    if state.get("heartbeat_trouble"):
        print(f"heartbeat: {state['heartbeat_trouble']}\n")
    columns = ("room", "waiting", "oldest", "dead", "rests", "error")
    print_table(columns, [_room_row(room) for room in state["rooms"]], "no rooms")
    refused = [account for account in state["accounts"] if account["refused"]]
    for account in refused:
        print(f"\naccount {account['account']} is refused: {account['refused']}")
    for account in state["accounts"]:
        if account.get("refresh_token_expires_at"):
            print(f"\naccount {account['account']}: its refresh token expires at {account['refresh_token_expires_at']}")
    _print_sources(state)


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
    goes_to = f"goes to {room['goes_to']}" if room.get("goes_to") else ""
    failing = f"fails for {_seconds(room['failing_seconds'])}: {room['last_error']}" if room.get("last_error") else ""
    return " · ".join(part for part in (goes_to, _aside(room), room["error"] or failing) if part)


def _has_critical(room: dict[str, Any]) -> bool:
    return bool(room["set_aside_severity"] == "critical")


def _seconds(value: float) -> str:
    from relay.core.words import say_duration

    return say_duration(value) if value else ""


def _nagios(config: Any) -> None:
    from relay.cli.access import access

    try:
        state = access(load_to_ask(config, 3)).status()
    except SilentError as error:
        print(f"RELAY UNKNOWN - {error}")
        raise typer.Exit(3) from None
    except typer.Exit:
        print("RELAY UNKNOWN - no answer (see standard error)")
        raise typer.Exit(3) from None
    code, why = judge(state)
    waiting, dead, aside = (
        sum(room.get(name, 0) for room in state["rooms"]) for name in ("waiting", "dead", "set_aside")
    )
    oldest = max((room["oldest_seconds"] for room in state["rooms"]), default=0)
    word = ("OK", "WARNING", "CRITICAL", "UNKNOWN")[code]
    print(f"RELAY {word} - {why} | waiting={waiting} dead={dead} oldest={oldest}s set_aside={aside}")
    raise typer.Exit(code)


def judge(state: dict[str, Any]) -> tuple[int, str]:
    """Return the plugin's exit code and its reason: 2 if alerts do not get out, 1 if something needs attention."""
    if not state["ready"]:
        return 2, f"not ready: {state['why_not_ready']}"
    rooms, dead = state["rooms"], sum(room["dead"] for room in state["rooms"])
    aside = [room for room in rooms if room.get("set_aside")]
    found = [
        (2, "account refused", [one["account"] for one in state["accounts"] if one["refused"]]),
        (2, "room refused", [one["room"] for one in rooms if one["error"]]),
        (2, "critical alerts set aside", [f"{one['room']}: {_aside(one)}" for one in aside if _has_critical(one)]),
        (1, "deliveries set aside", [f"{one['room']}: {_aside(one)}" for one in aside]),
        (1, "rooms fall back", [f"{one['room']} to {one['goes_to']}" for one in rooms if one.get("goes_to")]),
        (1, "rooms fail", [one["room"] for one in rooms if one.get("failing_seconds", 0) > FAILING]),
        (1, "feed down", [one["source"] for one in state["feeds"] if not one["connected"]]),
        (1, "source silent", [one["source"] for one in state.get("sources", ()) if one["silent"]]),
        (1, "heartbeat", [trouble] if (trouble := state.get("heartbeat_trouble")) else []),
        (1, "dead deliveries", [str(dead)] if dead else []),
        (1, "deliveries wait", [one["room"] for one in rooms if one["oldest_seconds"] > OLD]),
    ]
    return next(((code, f"{what}: {', '.join(which)}") for code, what, which in found if which), (0, "all is well"))
