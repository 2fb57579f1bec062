"""`relay check` and `relay schema`: the problems of a configuration, and its schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relay.cli.common import EXIT_NO, ConfigOption, Output, OutputOption, config_path, fail, print_json, print_problems


def check(
    file: Annotated[
        Path | None, typer.Argument(help="Configuration; default as for --config.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    secrets: Annotated[
        bool, typer.Option("--secrets/--no-secrets", help="Also check that secrets and directories exist.")
    ] = True,
    output: OutputOption = Output.text,
) -> None:
    """Print all errors of a configuration, and warnings about settings that may not be intended.

    Example: relay check --no-secrets relay.yaml
    """
    from relay.app.trial.checks import check_file
    from relay.app.trial.trying import template_times

    if file is not None and config is not None:
        fail(f"expected one configuration, found {file} and --config {config}", 2)
    path = config_path(file or config, EXIT_NO)
    loaded, problems = check_file(path, machine=secrets)
    errors = [problem for problem in problems if problem.level == "error"]
    times = {} if loaded is None else template_times(loaded.templates, loaded.settings.timezone)
    if output is Output.json:
        from relay.settings.problems import problem_json

        print_json([problem_json(problem) for problem in problems])
    else:
        print_problems(problems)
        for name, took in times.items():
            print(f"template {name}: {took:.1f} ms on the slowest sample")
        warnings = len(problems) - len(errors)
        print(f"{path}: {_count(len(errors), 'error')}, {_count(warnings, 'warning')}" if problems else f"{path}: good")
    if errors:
        raise typer.Exit(EXIT_NO)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def schema() -> None:
    """Print the JSON Schema of the configuration.

    Example: relay schema > relay.schema.json
    """
    from relay.settings.schema import schema_text

    print(schema_text(), end="")
