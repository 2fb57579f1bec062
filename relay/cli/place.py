"""The place of the configuration file."""

from __future__ import annotations

import os
from pathlib import Path


def config_path(given: Path | None) -> Path:
    """Return the file of the configuration: as given, else $RELAY_CONFIG, else the first default that exists."""
    if given is not None:
        return given
    if os.environ.get("RELAY_CONFIG"):
        return Path(os.environ["RELAY_CONFIG"])
    local = (Path("config/relay.yaml"), Path("relay.yaml"))
    return next((path for path in local if path.exists()), Path("/etc/relay/relay.yaml"))
