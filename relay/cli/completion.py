"""Completion in a shell, beside commands and options: names in the configuration, states and reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import typer


def rooms(context: typer.Context, incomplete: str) -> list[str]:
    """Return the configured rooms that begin with a text."""
    return _named(context, incomplete, lambda settings: settings.rooms)


def sources(context: typer.Context, incomplete: str) -> list[str]:
    """Return the configured sources that begin with a text."""
    return _named(context, incomplete, lambda settings: settings.sources)


def states(incomplete: str) -> list[str]:
    """Return the states of deliveries that begin with a text."""
    from typing import get_args

    from relay.core.delivery import DeliveryState

    return _beginning(get_args(DeliveryState), incomplete)


def reasons(incomplete: str) -> list[str]:
    """Return the reasons of failures that begin with a text."""
    from typing import get_args

    from relay.core.delivery import Reason

    return _beginning(get_args(Reason), incomplete)


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))


def _named(context: typer.Context, incomplete: str, of: Callable[[Any], Iterable[str]]) -> list[str]:
    """Return names in the valid part of the configuration; its problems would only disturb a completing shell."""
    from relay.cli.place import find_config
    from relay.formats import FORMATS
    from relay.settings.load import Loaded, load
    from relay.settings.problems import ConfigurationError

    file = find_config(context.params.get("config"))
    if file is None:
        return []
    try:
        loaded: object = load(file, FORMATS)
    except ConfigurationError as error:
        loaded = error.rest
    return _beginning(of(loaded.settings), incomplete) if isinstance(loaded, Loaded) else []
