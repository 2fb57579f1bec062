from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.sandbox.server import Sandbox
from tests.fakes.running import Running, running, started_sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with started_sandbox() as started:
        yield started


@pytest.fixture
async def relay(tmp_path: Path, sandbox: Sandbox) -> AsyncIterator[Running]:
    async with running(tmp_path, sandbox) as started:
        yield started
