from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from relay.sandbox.server import Sandbox
from tests.fakes.postgres import Server, postgres
from tests.fakes.running import Running, running


@pytest.fixture
async def relay(tmp_path: Path, sandbox: Sandbox) -> AsyncIterator[Running]:
    async with running(tmp_path, sandbox) as started:
        yield started


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server."""
    with postgres() as started:
        yield started
