"""The settings of the tools fit the code, and each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from pkgutil import resolve_name

import pytest

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
BANNED = PYPROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
NAMES = sorted({name for ban in BANNED.values() for name in re.findall(r"\brelay(?:\.\w+)+", ban["msg"])})


def test_hints_name_something() -> None:
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_a_hint_advises_exists(name: str) -> None:
    assert resolve_name(name) is not None
