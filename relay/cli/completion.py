"""What a shell can complete beside commands and options: names of the configuration, words of the field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import typer


def rooms(context: typer.Context, incomplete: str) -> list[str]:
    """Names of configured rooms."""
    return _named(context, incomplete, lambda settings: settings.rooms)


def sources(context: typer.Context, incomplete: str) -> list[str]:
    """Names of configured sources."""
    return _named(context, incomplete, lambda settings: settings.sources)


def states(incomplete: str) -> list[str]:
    """States of deliveries."""
    from typing import get_args

    from relay.core.delivery import DeliveryState

    return _beginning(get_args(DeliveryState), incomplete)


def reasons(incomplete: str) -> list[str]:
    """Reasons of failures."""
    from typing import get_args

    from relay.core.delivery import Reason

    return _beginning(get_args(Reason), incomplete)


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))


def _named(context: typer.Context, incomplete: str, of: Callable[[Any], Iterable[str]]) -> list[str]:
    """Names in the configuration as far as it can be read; a shell that completes is no place for its problems."""
    from relay.cli.common import config_path
    from relay.formats import FORMATS
    from relay.settings.load import Loaded, load
    from relay.settings.problems import ConfigurationError

    try:
        loaded: object = load(config_path(context.params.get("config")), FORMATS)
    except ConfigurationError as error:
        loaded = error.rest
    return _beginning(of(loaded.settings), incomplete) if isinstance(loaded, Loaded) else []
