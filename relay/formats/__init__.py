"""Formats, which read payloads into drafts of events: a pure function for each vendor, and mappings for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points

import msgspec

from relay.core.event import Draft, Dropped, Unread
from relay.formats.contract import Format, Reader, Request

_BUILT_IN = (
    *("relay", "alertmanager", "grafana", "apic", "cisco-meraki", "catalyst-center", "catalyst-sdwan", "thousandeyes"),
    *("intersight", "webex", "github", "gitlab", "zabbix", "librenms", "icinga2", "netbox", "pagerduty", "opsgenie"),
    *("datadog", "newrelic", "sentry", "uptime-kuma", "uptimerobot", "statuspage", "aws-sns", "azure-monitor"),
    *("google-cloud", "kibana", "splunk", "home-assistant", "ris-live", "servicenow", "jira"),
)
"""Names of the formats that come with the relay. Each is `FORMAT` in the module of its name; `relay` is in `native`."""
GROUP = "relay.formats"
"""The group of entry points through which another package adds formats. Each entry point loads a `Format`."""


class _Formats(Mapping[str, Format]):
    """All formats by name. Each is imported when it is first used, since a relay uses few of them."""

    def __init__(self) -> None:
        self._made: dict[str, Format] = {}
        self._others = {point.name: point for point in entry_points(group=GROUP) if point.name not in _BUILT_IN}

    def __getitem__(self, name: str) -> Format:
        """Return a format. Raises KeyError, and whatever the import of another package's format raises."""
        if name not in self._made:
            self._made[name] = self._loaded(name) if name in self._others else _built_in(name)
        return self._made[name]

    def _loaded(self, name: str) -> Format:
        found = self._others[name].load()
        if not isinstance(found, Format):
            raise TypeError(
                f"expected a relay.formats.contract.Format, found {type(found).__name__}; "
                f"correct the entry point {name!r} of the group {GROUP!r}"
            )
        return checked(found)

    def __contains__(self, name: object) -> bool:
        return name in _BUILT_IN or name in self._others

    def __iter__(self) -> Iterator[str]:
        yield from _BUILT_IN
        yield from self._others

    def __len__(self) -> int:
        return len(_BUILT_IN) + len(self._others)


def checked(format_: Format) -> Format:
    """Return another package's format with its drafts checked. Its `read` raises TypeError for a wrong type."""

    def read(request: Request) -> Sequence[Draft | Unread | Dropped]:
        found = list(format_.read(request) or ())
        for one in found:
            check_types(one)
        return found

    return msgspec.structs.replace(format_, read=read)


def check_types(one: object) -> None:
    """Raise TypeError if a format returned anything but a draft whose texts are `str`, an `Unread` or a `Dropped`."""
    if isinstance(one, (Unread, Dropped)):
        return
    if not isinstance(one, Draft):
        raise TypeError(f"expected a Draft or an Unread, found {type(one).__name__}")
    texts: list[object] = [one.title, one.body, one.key or "", one.severity or ""]
    texts += [*one.labels.values(), *one.files]
    wrong = [type(text).__name__ for text in texts if not isinstance(text, str)]
    if wrong:
        raise TypeError(f"expected str in a Draft's title, body, key, severity, labels and files, found {wrong[0]}")


def _built_in(name: str) -> Format:
    if name not in _BUILT_IN:
        raise KeyError(name)
    module = "native" if name == "relay" else name.replace("-", "_")
    found: Format = import_module(f"relay.formats.{module}").FORMAT
    return found


FORMATS: Mapping[str, Format] = _Formats()
"""The formats that a source can name in its settings. The format of a `map` is made from the settings instead."""

__all__ = ["FORMATS", "Format", "Reader", "Request", "checked"]
