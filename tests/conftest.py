from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from relay.sandbox.server import Sandbox
from tests.fakes.running import started_sandbox

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what a test starts is compiled once, as in an installation

settings.register_profile("quick", max_examples=100, deadline=None)
settings.register_profile("fixed", max_examples=100, deadline=None, derandomize=True, database=None)
settings.load_profile("fixed" if os.environ.get("CI") else "quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew from what the code gives"
    )


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes `-n auto` takes: two for a core, because much of the time is waiting."""
    return (os.cpu_count() or 1) * 2


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Webex and a Spika on loopback."""
    async with started_sandbox() as started:
        yield started
