"""Formats: a payload becomes drafts of events. One pure function a vendor, and users' mappings for everything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points

import msgspec

from relay.core.event import Draft, Unread
from relay.formats.contract import Format, Reader, Request

_BUILT_IN = (
    *("relay", "alertmanager", "grafana", "apic", "cisco-meraki", "catalyst-center", "catalyst-sdwan", "thousandeyes"),
    *("intersight", "webex", "github", "gitlab", "zabbix", "librenms", "icinga2", "netbox", "pagerduty", "opsgenie"),
    *("datadog", "newrelic", "sentry", "uptime-kuma", "uptimerobot", "statuspage", "aws-sns", "azure-monitor"),
    *("google-cloud", "kibana", "splunk", "home-assistant", "ris-live", "servicenow", "jira"),
)
"""Names of the formats that come with the relay; each is `FORMAT` of a module of this package (`relay` of `native`)."""
GROUP = "relay.formats"
"""The group of entry points by which another package adds formats: each gives a `Format`."""


class _Formats(Mapping[str, Format]):
    """All formats by name, each imported when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Format] = {}
        self._others = {point.name: point for point in entry_points(group=GROUP) if point.name not in _BUILT_IN}

    def __getitem__(self, name: str) -> Format:
        """Raises KeyError, and whatever the import of another package's format raises."""
        if name not in self._made:
            self._made[name] = self._loaded(name) if name in self._others else _built_in(name)
        return self._made[name]

    def _loaded(self, name: str) -> Format:
        found = self._others[name].load()
        if not isinstance(found, Format):
            raise TypeError(f"{type(found).__name__} is no relay.formats.contract.Format")
        return checked(found)

    def __contains__(self, name: object) -> bool:
        return name in _BUILT_IN or name in self._others

    def __iter__(self) -> Iterator[str]:
        yield from _BUILT_IN
        yield from self._others

    def __len__(self) -> int:
        return len(_BUILT_IN) + len(self._others)


def checked(format_: Format) -> Format:
    """Return another package's format, which raises TypeError if what it reads has other types than it should."""

    def read(request: Request) -> Sequence[Draft | Unread]:
        found = list(format_.read(request) or ())
        for one in found:
            check_types(one)
        return found

    return msgspec.structs.replace(format_, read=read)


def check_types(one: object) -> None:
    """Raise TypeError if a format made anything but a draft whose texts are texts, or an item that can't be read."""
    if isinstance(one, Unread):
        return
    if not isinstance(one, Draft):
        raise TypeError(f"expected a Draft, found {type(one).__name__}")
    texts = (one.title, one.body, one.key or "", one.severity or "", *one.labels.values(), *one.files)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a Draft's title, body, key, severity, labels and files are str")


def _built_in(name: str) -> Format:
    if name not in _BUILT_IN:
        raise KeyError(name)
    module = "native" if name == "relay" else name.replace("-", "_")
    found: Format = import_module(f"relay.formats.{module}").FORMAT
    return found


FORMATS: Mapping[str, Format] = _Formats()
"""The formats that a source can name; `map` is made from its settings."""

__all__ = ["FORMATS", "Format", "Reader", "Request", "checked"]
