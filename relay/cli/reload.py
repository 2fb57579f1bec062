"""`relay reload`: have the running relay load its configuration anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from relay.cli.common import (
    EXIT_NO,
    ConfigOption,
    Output,
    OutputOption,
    complain,
    config_path,
    fail,
    print_json,
    print_problems,
)

if TYPE_CHECKING:
    from relay.settings.load import Loaded


def reload(config: ConfigOption = None, output: OutputOption = Output.text) -> None:
    """Have the running relay load its configuration anew, all of it or nothing, and tell what came of it.

    Example: relay reload -c /etc/relay/relay.yaml
    """
    from relay.cli.access import daemon_of

    daemon = daemon_of(_loaded(config))
    if daemon is None:
        fail("no relay runs on this configuration; `relay run` starts one")
    said = daemon.reload()
    if output is Output.json:
        print_json(said)
    else:
        _print(said)
    if not said["good"]:
        raise typer.Exit(EXIT_NO)


def _print(said: dict[str, Any]) -> None:
    for one in said["problems"]:
        place = f"{one['file']}:{one['line']}:{one['column']}"
        level = "warning: " if one["level"] == "warning" else ""
        complain(f"{place}: {level}{one['path'] + ': ' if one['path'] else ''}{one['message']}")
    if not said["good"]:
        complain("the configuration was not reloaded; the one before goes on")
        return
    print(f"reloaded at {said['at']}")
    if said["restart_needed"]:
        print(f"in force only after a restart: {', '.join(said['restart_needed'])}")


def _loaded(config: Any) -> Loaded:
    """The configuration, as far as it takes to find the relay: whether it is good is for the relay to say."""
    from relay.formats import FORMATS
    from relay.settings.load import Loaded, load
    from relay.settings.problems import ConfigurationError

    try:
        return load(config_path(config), FORMATS)
    except ConfigurationError as error:
        if isinstance(error.rest, Loaded):
            return error.rest
        print_problems(error.problems)
        fail("the running relay was not asked; it goes on with the configuration before")
