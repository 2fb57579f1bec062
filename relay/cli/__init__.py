"""The command line: the only place that prints or exits. Commands import what they need when they run."""

from __future__ import annotations

import gc
import os
import sys

import typer

from relay import __version__
from relay.cli import (
    backup,
    check,
    deliveries,
    demo,
    diff,
    events,
    explain,
    incidents,
    login,
    mapping,
    messages,
    migrate,
    reload,
    rooms,
    run,
    sandbox,
    send,
    silence,
    status,
    support,
    trial,
)
from relay.cli.common import EXIT_NO, SilentError, complain

EXIT_INTERNAL = 70
_COLLECT_AFTER = 50_000
"""New objects after which the garbage collector looks for cycles: imports make many objects, and no garbage."""

app = typer.Typer(
    name="relay",
    help="A notification relay for network operations centres: events in, routing rules, markdown alerts out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with: relay demo",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"relay {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


app.command()(demo.demo)
app.command()(run.run)
app.command()(reload.reload)
app.command()(check.check)
app.command()(explain.explain)
app.command("test")(trial.trial)
app.command()(diff.diff)
app.add_typer(mapping.app, name="map")
app.command("import")(migrate.import_)
app.command()(send.send)
app.add_typer(rooms.app, name="rooms")
app.add_typer(messages.app, name="messages")
app.command()(login.login)
app.add_typer(events.app, name="events")
app.add_typer(deliveries.app, name="deliveries")
app.command()(incidents.incidents)
app.command()(incidents.ack)
app.command()(incidents.unack)
app.add_typer(silence.app, name="silence")
app.command()(status.status)
app.command()(backup.backup)
app.command()(support.support_bundle)
app.command()(sandbox.sandbox)
app.command()(check.schema)


def main() -> None:
    """Run the command line; an unexpected error prints one line and exits with 70."""
    gc.set_threshold(_COLLECT_AFTER)
    try:
        app(prog_name="relay")
    except SilentError as error:
        complain(str(error))
        sys.exit(EXIT_NO)
    except BrokenPipeError:  # like `relay events tail | head`; what is left in the buffer must not fail at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # the last border: one line, or the traceback if RELAY_TRACEBACK asks for it
        if os.environ.get("RELAY_TRACEBACK"):
            raise
        complain(f"internal error: {type(error).__name__}: {error}")
        complain("run it with RELAY_TRACEBACK=1 to see where the error comes from")
        sys.exit(EXIT_INTERNAL)
