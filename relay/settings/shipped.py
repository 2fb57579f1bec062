"""Configuration files that ship with the package, in the wheel or in the checkout beside it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.resources import as_file, files
from pathlib import Path


def shipped(name: str) -> AbstractContextManager[Path]:
    """Return the path of a shipped configuration file; it is valid as long as the context lasts."""
    packed = files("relay").joinpath("config", name)
    if packed.is_file():
        return as_file(packed)
    return nullcontext(Path(__file__).parents[2] / "config" / name)
