"""`relay events`: the events that the relay has received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.common import (
    ConfigOption,
    Output,
    OutputOption,
    SilentError,
    SourceOption,
    complain,
    fail,
    load_to_ask,
    print_json,
    remark_unknown,
    say,
)

if TYPE_CHECKING:
    from relay.settings.load import Loaded

app = typer.Typer(help="Events: list them as they come, or show one.", no_args_is_help=True)
POLL = 1.0
"""Seconds between two queries."""
MOST = 10_000
"""Most events of one query."""


@app.command()
def tail(
    config: ConfigOption = None,
    source: SourceOption = None,
    refused: Annotated[bool, typer.Option(help="Payloads that could not be read, with the reason.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=10_000, help="How many of the last events.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new events too, until Ctrl-C.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Print the last events, and with -f also new ones.

    Example: relay events tail -f --source prometheus
    """
    from relay.cli.access import access
    from relay.core.event import OPERATOR_SOURCE

    loaded = load_to_ask(config)
    if source != OPERATOR_SOURCE:
        remark_unknown(loaded, "source", source)
    wanted: dict[str, Any] = {"source": source, "refused": refused, "limit": max(lines, 1)}
    found = list(reversed(access(loaded).events(wanted)))
    events = found[len(found) - min(lines, len(found)) :]
    if output is Output.json and not follow:
        print_json(events)
        return
    _print(events, output)
    if not found and not follow:
        say("no events" if not refused else "nothing was refused")
    if follow:
        _follow(loaded, {**wanted, "limit": MOST}, found, output)


def _follow(loaded: Loaded, wanted: dict[str, Any], found: list[dict[str, Any]], output: Output) -> None:
    """Print new events, also while the relay stops and starts."""
    import signal

    from relay.cli.access import access

    place = "id" if wanted["refused"] else "seq"
    last = found[-1][place] if found else 0
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    while signal.sigtimedwait(ends, POLL) is None:
        try:
            fresh = list(reversed(access(loaded, quiet=True).events({**wanted, "after": last})))
        except SilentError:
            continue  # the relay is starting or stopping
        if len(fresh) == MOST:
            complain(f"more than {MOST:,} events came within {POLL:g} s; only the newest {MOST:,} are shown")
        _print(fresh, output)
        last = fresh[-1][place] if fresh else last


def _print(events: list[dict[str, Any]], output: Output) -> None:
    for event in events:
        if output is Output.json:
            print_json(event)
        elif event["state"] == "refused":
            payload = event["payload"][:200].replace("\n", " ")
            say(f"{event['received_at']} {event['source']} refused: {event['detail']} · {payload}")
        else:
            say(
                f"{event['received_at']} {event['id']} {event['source']} {event['status']} {event['severity']}: "
                f"{event['title']}",
            )


@app.command()
def show(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id, as in the answer to the webhook.")],
    config: ConfigOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Print an event: its fields, its incidents and deliveries, and its payload.

    Example: relay events show 019d8c4e2f0a1b2c3d4e5f60
    """
    from relay.cli.access import access
    from relay.cli.explain import print_event

    reached = access(load_to_ask(config))
    event = reached.event(event_id)
    if event is None:
        fail(f"no event has the id {event_id!r} ({reached.name} was asked)")
    if output is Output.json:
        print_json(event)
        return
    print_event(event, reached)
    say("  payload")
    say("    " + event["payload"].replace("\n", "\n    "))
