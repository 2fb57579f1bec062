"""`relay import`: an Alertmanager configuration becomes the relay's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relay.cli.common import print_problems


def import_(
    file: Annotated[str, typer.Argument(help="Alertmanager's configuration; - for standard input.")],
) -> None:
    """Print a configuration made from Alertmanager's: routes, times, inhibition, Webex receivers.

    Each key without a counterpart is noted with its place, on top of it and on standard error. What Alertmanager itself
    would not take, and what would mean something else here, is an error: then nothing is printed.

    Example: relay import /etc/prometheus/alertmanager.yml > relay.yaml
    """
    from relay.app.migration.making import migrate
    from relay.settings.problems import ConfigurationError

    try:
        made = migrate(Path(file))
    except ConfigurationError as error:
        print_problems(error.problems)
        raise typer.Exit(2) from None
    print(made.text(), end="")
    print_problems(made.notes)
