"""`relay import`: an Alertmanager configuration becomes the relay's."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from relay.cli.common import fail, read_input


def import_(
    file: Annotated[str, typer.Argument(help="Alertmanager's configuration; - for standard input.")],
) -> None:
    """Print a configuration made from Alertmanager's: routes, times, inhibition, Webex receivers.

    What can't be carried over is listed on top of it, and on standard error.

    Example: relay import /etc/prometheus/alertmanager.yml > relay.yaml
    """
    from relay.app.migration import NotAlertmanagerError, migrate

    try:
        made = migrate(read_input(file).decode(errors="replace"))
    except NotAlertmanagerError as error:
        fail(f"{file}: {error}", 2)
    print(made.text(), end="")
    for note in made.notes:
        print(f"relay: {note}", file=sys.stderr)
