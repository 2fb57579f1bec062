"""Readers of all formats, and where what they make of payloads is kept."""

from __future__ import annotations

from pathlib import Path

from relay.app.trial.mapping_trial import mapping_in, ready
from relay.formats import FORMATS
from relay.formats.mapping import MappingSettings, make_mapping

GOLDEN = Path(__file__).parents[1] / "golden" / "formats"
NOW = 1_772_331_000.0
"""When the payloads came."""
MAP = MappingSettings(
    each="events",
    title="join(' ', [site, what])",
    severity="level",
    status="state",
    key="id",
    severities={"1": "critical", "2": "major"},
    labels={"site": "site"},
)
READERS = {
    **FORMATS,
    "map": make_mapping(MAP),
    **{f"map-{name}": make_mapping(mapping_in(name)) for name, _ in ready()},
}
