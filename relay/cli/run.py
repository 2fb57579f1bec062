"""`relay run`: the daemon."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.common import (
    EXIT_CONFIGURATION,
    EXIT_NO,
    EXIT_STORE,
    complain,
    load_config,
    print_problems,
)

if TYPE_CHECKING:
    from relay.settings.load import Loaded

StartOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Configuration; default $RELAY_CONFIG, ./relay.yaml, /etc/relay/relay.yaml.",
        show_default=False,
    ),
]


def run(
    config: StartOption = None,
    log_level: Annotated[
        str | None,
        typer.Option(
            help="Level of the log: debug, info (a line for each request and message), notice (changes of state), "
            "warning or error; default `log` of the configuration, else notice.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C.

    Example: relay run -c /etc/relay/relay.yaml
    """
    # First of all: a SIGHUP that comes before the loop handles it would end the process
    hung_up: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _: hung_up.append(number))

    from relay.logs import LEVELS, make_log

    if log_level is not None and log_level not in LEVELS:
        raise typer.BadParameter(f"{log_level!r} is not one of {', '.join(LEVELS)}", param_hint="--log-level")
    loaded = load_config(config, running=False)

    from relay.app.running import process as app
    from relay.app.trial.checks import adapter_problems

    found = adapter_problems(loaded)
    if any(problem.level == "error" for problem in found):
        print_problems(found)
        raise typer.Exit(EXIT_CONFIGURATION)
    log = make_log(log_level or loaded.settings.log)
    for warning in (*loaded.warnings, *found):
        place = f"{warning.mark.file}:{warning.mark.line}:{warning.mark.column}"
        log.warning("configuration_warning", path=warning.path, message=warning.message, at=place)
    try:
        app.run(loaded, log, hung_up)
    except BaseException as error:
        refusals = [_refusal(leaf) for leaf in _leaves(error)]
        if None in refusals:
            raise
        for leaf in _leaves(error):
            _tell(leaf, loaded)
        raise typer.Exit(max(code for code in refusals if code is not None)) from None


def _tell(error: BaseException, loaded: Loaded) -> None:
    """Print why the relay can't run. If a secret is missing, print all that are, each with its place in the file."""
    from relay.settings.load import missing_secrets
    from relay.settings.secrets import SecretError

    missing = missing_secrets(loaded) if isinstance(error, SecretError) else ()
    print_problems(missing)
    if not missing:
        complain(f"can't run: {error}")


def _refusal(error: BaseException) -> int | None:
    """Return the exit code of an error of the start or of the store; None for any other error."""
    from relay.ports import StoreError, StoreImpossibleError, StoreUnavailableError
    from relay.settings.problems import ConfigurationError
    from relay.settings.secrets import SecretError
    from relay.templates.bounds import TemplateError

    if isinstance(error, StoreUnavailableError) and not isinstance(error, StoreImpossibleError):
        return EXIT_NO  # it lacks room or rights: a later start may succeed, so systemd must try again
    if isinstance(error, StoreError):
        return EXIT_STORE
    if isinstance(error, (ConfigurationError, SecretError, TemplateError)):
        return EXIT_CONFIGURATION
    return EXIT_NO if isinstance(error, OSError) else None


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
