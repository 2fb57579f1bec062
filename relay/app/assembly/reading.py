"""Reading the payloads of a source without a listener: its format or mapping, and the defaults of its events."""

from __future__ import annotations

from relay.core.event import SourceDefaults
from relay.formats import FORMATS, Format
from relay.formats.alertmanager import read_alertmanager_api
from relay.formats.mapping import MappingSettings, make_mapping
from relay.formats.wanted import with_when
from relay.settings.maps import MapSettings
from relay.settings.sources import AlertmanagerApiSettings, ApicSettings, SourceBase, WebsocketSettings


def format_name(source: SourceBase) -> str:
    """Return the name of the format in a source's events."""
    if isinstance(source, (AlertmanagerApiSettings, ApicSettings)):
        return source.type
    return "map" if source.map is not None else source.format or "relay"


def _make_format(source: SourceBase) -> Format:
    """Return the format of a source's payloads, unfiltered. Raises ValueError if its mapping can't be compiled."""
    if isinstance(source, AlertmanagerApiSettings):
        return Format(read=read_alertmanager_api, forms=False, lists=True)
    if isinstance(source, ApicSettings):
        return FORMATS["apic"]
    if source.map is None:
        return FORMATS[source.format or "relay"]
    return make_mapping(mapping_of(source.map), feed=isinstance(source, WebsocketSettings))


def make_format(name: str, source: SourceBase) -> Format:
    """Return the format of a source, which selects its wanted events. Raises ValueError if an expression is bad."""
    return with_when(_make_format(source), source.when, defaults_of(name, source))


def mapping_of(settings: MapSettings) -> MappingSettings:
    """Return a mapping's settings in the form that the format takes."""
    return MappingSettings(**settings.model_dump())


def defaults_of(name: str, source: SourceBase) -> SourceDefaults:
    """Return the values that a source adds to its events."""
    return SourceDefaults(source=name, format=format_name(source), severity=source.severity, labels=source.labels)
