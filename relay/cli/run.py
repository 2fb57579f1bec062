"""`relay run`: the daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.common import EXIT_CONFIGURATION, EXIT_NO, EXIT_STORE, ConfigOption, complain, load_config


def run(
    config: ConfigOption = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the daemon until it is told to stop.

    Example: relay run -c /etc/relay/relay.yaml
    """
    from relay.logs import LEVELS, make_log

    if log_level not in LEVELS:
        raise typer.BadParameter(f"{log_level!r} is not one of {', '.join(LEVELS)}", param_hint="--log-level")
    loaded = load_config(config)

    from relay.app import run as app
    from relay.app.checks import adapter_problems
    from relay.ports import StoreCorruptError, StoreError
    from relay.settings.secrets import SecretError
    from relay.templates.rendering import TemplateError

    problems = adapter_problems(loaded, thorough=False)
    if problems:
        for problem in problems:
            complain(str(problem))
        raise typer.Exit(EXIT_CONFIGURATION)
    log = make_log(log_level)
    for warning in loaded.warnings:
        log.warning("configuration_warning", path=warning.path, message=warning.message, at=str(warning.mark.line))
    try:
        app.run(loaded, log)
    except* StoreCorruptError as group:
        _refuse(group, EXIT_STORE)
    except* StoreError as group:
        _refuse(group, EXIT_STORE)
    except* (SecretError, TemplateError) as group:
        _refuse(group, EXIT_CONFIGURATION)
    except* OSError as group:
        _refuse(group, EXIT_NO)


def _refuse(group: BaseExceptionGroup[BaseException], code: int) -> None:
    for error in _leaves(group):
        complain(f"can't run: {error}")
    raise typer.Exit(code)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
