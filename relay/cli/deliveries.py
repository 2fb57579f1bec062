"""`relay deliveries`: listing deliveries, and retrying or dropping them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from relay.cli import completion
from relay.cli.common import (
    ConfigOption,
    Output,
    OutputOption,
    RoomOption,
    fail,
    load_to_ask,
    print_json,
    print_table,
    remark_unknown,
)

if TYPE_CHECKING:
    from relay.settings.load import Loaded

app = typer.Typer(help="Deliveries: list, show, retry, drop.", no_args_is_help=True)

StateOption = Annotated[
    str | None,
    typer.Option(
        help="Only in this state: waiting, leased, done, dead, superseded, merged, moved or dropped.",
        show_default=False,
        autocompletion=completion.states,
    ),
]
ReasonOption = Annotated[
    str | None,
    typer.Option(help="Only those that failed for this reason.", show_default=False, autocompletion=completion.reasons),
]
AgeOption = Annotated[str | None, typer.Option(help="Only those older than a duration, like 2h.", show_default=False)]
LimitOption = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=10_000, help="Most deliveries to list or change.")
]
IdsArgument = Annotated[
    list[int] | None, typer.Argument(metavar="[ID]...", help="Ids of deliveries.", show_default=False)
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only list what would be changed.")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    state: StateOption = None,
    room: RoomOption = None,
    reason: ReasonOption = None,
    older_than: AgeOption = None,
    limit: LimitOption = 100,
    output: OutputOption = Output.text,
) -> None:
    """List deliveries, newest first.

    Example: relay deliveries list --state dead --room noc
    """
    from relay.cli.access import access

    loaded = load_to_ask(config)
    found = access(loaded).deliveries(_wanted(loaded, None, state, room, reason, older_than, limit))
    if output is Output.json:
        print_json(found)
    else:
        print_deliveries(found)


@app.command()
def show(
    delivery: Annotated[int, typer.Argument(metavar="ID", help="The delivery's id.")],
    config: ConfigOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Print everything that is known about a delivery.

    Example: relay deliveries show 17
    """
    from relay.cli.access import access

    reached = access(load_to_ask(config))
    found = reached.deliveries({"ids": [delivery]})
    if not found:
        fail(f"no delivery has the id {delivery} ({reached.name} was asked)")
    if output is Output.json:
        print_json(found[0])
        return
    for name, value in found[0].items():
        if value is not None:
            print(f"{name}: {value}")


@app.command()
def retry(
    ids: IdsArgument = None,
    config: ConfigOption = None,
    state: StateOption = None,
    room: RoomOption = None,
    reason: ReasonOption = None,
    older_than: AgeOption = None,
    limit: LimitOption = 10_000,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.text,
) -> None:
    """Retry deliveries that are dead, dropped or waiting, now.

    Example: relay deliveries retry --state dead --room noc
    """
    _change(
        "retry", config, ids, (state, room, reason, older_than, limit), ("dead", "dropped", "waiting"), dry_run, output
    )


@app.command()
def drop(
    ids: IdsArgument = None,
    config: ConfigOption = None,
    state: StateOption = None,
    room: RoomOption = None,
    reason: ReasonOption = None,
    older_than: AgeOption = None,
    limit: LimitOption = 10_000,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.text,
) -> None:
    """Drop deliveries that wait or are dead; they stay on record.

    Example: relay deliveries drop --room lab --older-than 2d --dry-run
    """
    _change("drop", config, ids, (state, room, reason, older_than, limit), ("waiting", "dead"), dry_run, output)


def _change(
    verb: Literal["retry", "drop"],
    config: Any,
    ids: list[int] | None,
    filters: tuple[str | None, str | None, str | None, str | None, int],
    able: tuple[str, ...],
    dry_run: bool,
    output: Output,
) -> None:
    from relay.cli.access import access

    if not ids and not any(filters[:4]):
        fail(f"give ids, or filters like --state dead; see `relay deliveries {verb} --help`", 2)
    loaded = load_to_ask(config)
    reached = access(loaded)
    wanted = _wanted(loaded, ids, *filters)
    wanted["state"] = tuple(state for state in able if state in (wanted["state"] or able))
    found = reached.deliveries(wanted) if wanted["state"] else []
    changed = found if dry_run else _apply(reached, verb, found)
    if output is Output.json:
        print_json(changed)
    else:
        as_they_are = changed if dry_run or not changed else reached.deliveries({"ids": [one["id"] for one in changed]})
        print_deliveries(as_they_are)
        done = {"retry": "retried", "drop": "dropped"}[verb]
        print(f"{len(changed)} {'would be ' if dry_run else ''}{done}, by {reached.name}")
    if not dry_run and len(changed) < len(ids or ()):
        missing = len(ids or ()) - len(changed)
        fail(f"{missing} of them do not exist, or are not in a state to {verb} ({', '.join(able)})")


def _apply(reached: Any, verb: Literal["retry", "drop"], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    done = set(reached.change(verb, [delivery["id"] for delivery in found])) if found else set()
    return [delivery for delivery in found if delivery["id"] in done]


def _wanted(
    loaded: Loaded,
    ids: list[int] | None,
    state: str | None,
    room: str | None,
    reason: str | None,
    older_than: str | None,
    limit: int,
) -> dict[str, Any]:
    from typing import get_args

    from relay.core.delivery import DeliveryState, Reason
    from relay.core.words import parse_duration
    from relay.lifecycle import SystemClock
    from relay.settings.problems import near

    for name, given, known in (
        ("--state", state, get_args(DeliveryState)),
        ("--reason", reason, get_args(Reason)),
    ):
        if given is not None and given not in known:
            fail(f"{name}: {given!r} is not one of {', '.join(known)}{near(given, known)}", 2)
    remark_unknown(loaded, "room", room)
    before = None
    if older_than is not None:
        try:
            before = SystemClock().wall() - parse_duration(older_than)
        except ValueError as error:
            fail(f"--older-than: {error}", 2)
    return {
        "ids": ids or None,
        "state": (state,) if state else None,
        "room": room,
        "reason": reason,
        "created_before": before,
        "limit": limit,
    }


def print_deliveries(found: list[dict[str, Any]]) -> None:
    """Print deliveries as a table."""
    columns: tuple[str, ...] = ("id", "room", "state", "action", "tries", "created", "event", "error")
    rows = [_row(delivery) for delivery in found]
    if any(delivery["set_aside"] for delivery in found):
        columns = (*columns, "set aside until")
        rows = [(*row, one["due_at"] if one["set_aside"] else "") for row, one in zip(rows, found, strict=True)]
    print_table(columns, rows, "no deliveries")


def _row(delivery: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(delivery["id"]),
        delivery["room"],
        "set aside" if delivery["set_aside"] else delivery["state"],
        delivery["action"],
        str(delivery["attempts"]),
        delivery["created_at"],
        delivery["event_id"],
        f"{delivery['reason'] or ''} {delivery['last_error'] or ''}".strip(),
    )
