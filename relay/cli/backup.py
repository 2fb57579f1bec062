"""`relay backup`: a consistent copy of the database, also while the relay runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from relay.cli.common import EXIT_STORE, ConfigOption, Output, OutputOption, fail, load_config, print_json


def backup(
    file: Annotated[Path, typer.Argument(help="The new file; it must not exist yet.", dir_okay=False)],
    config: ConfigOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Copy the database to a file as of one moment, also while the relay runs.

    To restore it, stop the relay, replace the database with the copy, and start the relay. The tokens of integrations
    are in `tokens/` beside the database; copy them as well.

    Example: relay backup /var/backups/relay-2026-03-01.db
    """
    from rich.console import Console
    from rich.progress import Progress

    from relay.ports import StoreError
    from relay.storage.sqlite.backup import back_up

    loaded = load_config(config)
    if not loaded.storage.exists():
        fail(f"there is no database at {loaded.storage} (of {loaded.file}) yet; `relay run` creates it", EXIT_STORE)
    if file.exists():
        fail(f"{file} exists already; name another file", 2)
    try:
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as shown:
            task = shown.add_task("copying", total=None)
            size = back_up(loaded.storage, file, lambda done, total: shown.update(task, completed=done, total=total))
    except StoreError as error:
        fail(str(error), EXIT_STORE)
    if output is Output.json:
        print_json({"file": str(file), "bytes": size})
    else:
        print(f"{file}: {size:,} bytes")
