"""`relay map`: mappings for payloads without a format, tried on a payload."""

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
    read_input,
    say,
)

if TYPE_CHECKING:
    from relay.app.trial.mapping_trial import MappingTrial

_FACTS = ("key", "occurred_at", "acknowledged_by", "unacknowledged_by", "downtime")
"""Fields of an event that are shown after its status, severity and title."""

app = typer.Typer(help="Mappings: try, list.", no_args_is_help=True)


@app.command("try")
def try_(
    payload: Annotated[str, typer.Argument(help="The file of a payload, or - for standard input.")],
    source: Annotated[
        str | None, typer.Option(help="Use the mapping of this configured source.", show_default=False)
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option("--map", help="Use a YAML file with a mapping, or a mapping of the relay.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Print the event that a mapping makes of a payload, and the value of each expression.

    Without a mapping, propose one.

    Example: relay map try payload.json
    """
    from relay.app.trial.mapping_trial import (
        BadMappingError,
        MappingTrial,
        mapping_in,
        mapping_of_source,
        proposal,
        yaml_of,
    )
    from relay.formats.contract import NotJsonError, UnreadableError, decode_body

    if source is not None and mapping is not None:
        fail("expected --source or --map, found both", 2)
    remarks: Sequence[str] = ()
    try:
        decoded = decode_body(read_input(payload))
        if source is not None:
            settings = mapping_of_source(load_config(config), source)
        elif mapping is not None:
            settings = mapping_in(mapping)
        else:
            proposed = proposal(decoded)
            settings, remarks = proposed.settings, proposed.remarks
            if output is Output.text:
                say("# A proposal: put it into a source, and change it as needed.")
                for remark in remarks:
                    say(f"# {remark}")
                say(f"{yaml_of(settings)}\n")
        trial = MappingTrial(settings, decoded)
    except (NotJsonError, UnreadableError, BadMappingError) as error:
        fail(str(error))
    _print_trial(trial, remarks, output)


@app.command("list")
def list_(output: OutputOption = Output.text) -> None:
    """List the mappings that ship with the relay; use one with `map: NAME`.

    Example: relay map list
    """
    from relay.app.trial.mapping_trial import ready

    rows = list(ready())
    if output is Output.json:
        print_json([{"name": name, "of": of} for name, of in rows])
        return
    print_table(["name", "of"], rows, "none")


def _print_trial(trial: MappingTrial, remarks: Sequence[str], output: Output) -> None:
    if output is Output.json:
        print_json({"map": trial.written, "items": trial.items} | ({"remarks": remarks} if remarks else {}))
    else:
        _print(trial.items)
    if trial.is_foreign:
        raise typer.Exit(EXIT_NO)


def _print(items: list[dict[str, Any]]) -> None:
    if not items:
        complain("this payload gives no event")
    for number, item in enumerate(items, 1):
        if len(items) > 1:
            say(f"\n— item {number} of {len(items)} —")
        for name, value in item["values"].items():
            say(f"{name:<22} {'(nothing)' if value is None else value}")
        if "unrecognised" in item:
            say(f"→ unrecognised: {item['unrecognised']}")
        elif item["event"] is None:
            say("→ no event: `when` gives nothing")
        else:
            _print_event(item["event"])


def _print_event(event: dict[str, Any]) -> None:
    say(f"→ {event['status']} {event['severity']} · {event['title']}")
    facts = [(name, event[name]) for name in _FACTS if event.get(name) is not None]
    facts += [(f"label {name}", value) for name, value in event["labels"].items()]
    facts += [(f"link {link['text']}", link["url"]) for link in event["links"]]
    facts += [("note", note) for note in event["notes"]]
    for name, value in facts:
        say(f"  {name}: {value}")
