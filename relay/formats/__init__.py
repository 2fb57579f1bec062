"""Formats: a payload becomes drafts of events. One pure function a vendor, and users' mappings for everything else."""

from __future__ import annotations

from relay.formats.alertmanager import read_alertmanager
from relay.formats.apic import read_apic
from relay.formats.contract import Format, Request
from relay.formats.native import read_native

FORMATS: dict[str, Format] = {
    "relay": read_native,
    "alertmanager": read_alertmanager,
    "apic": read_apic,
}
"""The formats that a source can name; `map` is made from its settings."""

__all__ = ["FORMATS", "Format", "Request"]
