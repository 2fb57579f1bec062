"""What is built: twice the same bytes, and everything in it that the program needs."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.fakes.pages import PAGES

ROOT = Path(__file__).parents[2]


def build(kind: str, folder: Path) -> Path:
    """Build a wheel or an sdist into a folder of its own."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (made,) = folder.iterdir()
    return made


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_two_builds_are_the_same_bytes(tmp_path: Path, kind: str) -> None:
    first, second = (build(kind, tmp_path / name) for name in ("a", "b"))
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_the_wheel_has_all_that_the_program_needs(tmp_path: Path) -> None:
    with zipfile.ZipFile(build("wheel", tmp_path / "w")) as wheel:
        names = set(wheel.namelist())
    needed = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "relay").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert needed <= names
    assert "relay/config/demo.yaml" in names
    assert {name.split("/")[0] for name in names} == {"relay", "noc_relay-0.1.0.dist-info"}


def test_the_sdist_has_every_page_and_what_the_pages_speak_of(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path / "s")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= {
        *PAGES,
        "CHANGELOG.md",
        "LICENSE",
        "pyproject.toml",
        "requirements.lock",
        "systemd/relay.service",
        "systemd/relay.socket",
        "config/relay.yaml",
        "config/relay.schema.json",
        "config/prometheus-rules.yaml",
        "config/grafana-dashboard.json",
        "config/images/alert.png",
    }
