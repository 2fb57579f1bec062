"""`relay import`: making a configuration from Alertmanager's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relay.cli.common import print_problems


def import_(
    file: Annotated[str, typer.Argument(help="Alertmanager's configuration; - for standard input.")],
) -> None:
    """Print a configuration made from Alertmanager's: routes, times, inhibition, Webex receivers.

    Each key without a counterpart is noted with its place, at the top of the output and on standard error. A value that
    Alertmanager would refuse, or that would mean something else here, is an error, and nothing is printed.

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
