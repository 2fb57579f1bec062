"""The settings of the tools fit the code, and each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from pkgutil import resolve_name

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BANNED = PYPROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
NAMES = sorted({name for ban in BANNED.values() for name in re.findall(r"\brelay(?:\.\w+)+", ban["msg"])})


def test_hints_name_something() -> None:
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_a_hint_advises_exists(name: str) -> None:
    assert resolve_name(name) is not None


def test_a_commit_is_checked_as_what_lands_is() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    landing = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    checks = [line for line in landing if line.split(" ")[0] in ("ruff", "mypy", "lint-imports")]
    assert [hook["entry"].split(" ")[:2] for hook in hooks] == [check.split(" ")[:2] for check in checks]
