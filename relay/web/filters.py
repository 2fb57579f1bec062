"""Filters of the API: which rows a list holds, as query parameters."""

from __future__ import annotations

from typing import Annotated

import msgspec

from relay.core.delivery import DeliveryState, Reason

Limit = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
"""The most rows that one answer holds."""


RowId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""The number of a row, as SQLite has them."""


class EventFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Selects events; `after` is a place in the order of arrival (`seq`)."""

    source: str | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    limit: Limit = 100
    refused: bool = False


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Selects deliveries; `created_before` in Unix seconds."""

    ids: tuple[RowId, ...] | None = None
    event: str | None = None
    state: tuple[DeliveryState, ...] | None = None
    room: str | None = None
    reason: Reason | None = None
    created_before: float | None = None
    limit: Limit = 100


class IncidentFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Selects incidents: open ones, and if `ended` is true also those that are over."""

    ended: bool = False
    limit: Limit = 10_000
