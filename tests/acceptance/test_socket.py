"""Socket activation: systemd listens, and the relay may restart and reload behind it."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.changing import change_under_load


async def test_reloads_and_restarts_refuse_lose_and_double_nothing(tmp_path: Path) -> None:
    figures = await change_under_load(tmp_path, reloads=6, restarts=3, rate=100.0)
    assert figures.accepted > 50
    assert (figures.refused, figures.lost, figures.doubled) == (0, 0, 0)
    assert figures.on_record == figures.accepted
    assert figures.connections == {"steady": 4, "changing": 7}
    assert figures.good
