"""A strict client of Alertmanager's API v2: it refuses wrong types, missing required fields and unknown ones.

Source: prometheus/alertmanager, `api/v2/openapi.yaml`. karma and amtool decode with code that is generated from it, and
Grafana's types (`public/app/plugins/datasource/alertmanager/types.ts`) are a part of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from tests.fakes.running import Running

Time = Annotated[datetime, Meta(tz=True)]
Labels = dict[str, str]
T = TypeVar("T")


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document with exactly these fields."""


class Receiver(Strict, frozen=True, kw_only=True):
    """`receiver`."""

    name: str


class AlertStatus(Strict, frozen=True, kw_only=True):
    """`alertStatus`; `mutedBy` is required since Alertmanager 0.28."""

    state: Literal["unprocessed", "active", "suppressed"]
    silencedBy: list[str]  # noqa: N815 - Alertmanager's names
    inhibitedBy: list[str]  # noqa: N815
    mutedBy: list[str]  # noqa: N815


class Alert(Strict, frozen=True, kw_only=True):
    """`gettableAlert`."""

    labels: Annotated[Labels, Meta(min_length=1)]
    annotations: Labels
    receivers: Annotated[list[Receiver], Meta(min_length=1)]
    fingerprint: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    startsAt: Time  # noqa: N815
    updatedAt: Time  # noqa: N815
    endsAt: Time  # noqa: N815
    status: AlertStatus
    generatorURL: str = ""  # noqa: N815

    def __post_init__(self) -> None:
        """Refuse a `generatorURL` that is no URI."""
        if self.generatorURL and not urlsplit(self.generatorURL).netloc:
            raise ValueError(f"not a URI: {self.generatorURL!r}")


class Group(Strict, frozen=True, kw_only=True):
    """`alertGroup`."""

    labels: Labels
    receiver: Receiver
    alerts: Annotated[list[Alert], Meta(min_length=1)]


class Matcher(Strict, frozen=True, kw_only=True):
    """`matcher`; karma needs `isEqual`, too."""

    name: str
    value: str
    isRegex: bool  # noqa: N815
    isEqual: bool  # noqa: N815


class SilenceStatus(Strict, frozen=True, kw_only=True):
    """`silenceStatus`."""

    state: Literal["expired", "active", "pending"]


class Silence(Strict, frozen=True, kw_only=True):
    """`gettableSilence`."""

    id: str
    status: SilenceStatus
    updatedAt: Time  # noqa: N815
    matchers: Annotated[list[Matcher], Meta(min_length=1)]
    startsAt: Time  # noqa: N815
    endsAt: Time  # noqa: N815
    createdBy: str  # noqa: N815
    comment: str


class Peer(Strict, frozen=True, kw_only=True):
    """`peerStatus`."""

    name: str
    address: str


class Cluster(Strict, frozen=True, kw_only=True):
    """`clusterStatus`; Grafana and karma read the peers."""

    status: Literal["ready", "settling", "disabled"]
    peers: list[Peer]
    name: str = ""


class Version(Strict, frozen=True, kw_only=True):
    """`versionInfo`; karma wants at least 0.17."""

    version: Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
    revision: str
    branch: str
    buildUser: str  # noqa: N815
    buildDate: str  # noqa: N815
    goVersion: str  # noqa: N815


class Config(Strict, frozen=True, kw_only=True):
    """`alertmanagerConfig`."""

    original: str


class Status(Strict, frozen=True, kw_only=True):
    """`alertmanagerStatus`."""

    cluster: Cluster
    versionInfo: Version  # noqa: N815
    config: Config
    uptime: Time


class Client:
    """Asks a relay's admin address as karma does."""

    def __init__(self, relay: Running) -> None:
        self._relay = relay

    async def _get(self, path: str, kind: type[T], **query: str) -> T:
        async with self._relay.session.get(f"{self._relay.admin}/api/v2/{path}", params=query) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.content_type == "application/json"
            return msgspec.json.decode(await answer.read(), type=kind)

    async def status(self) -> Status:
        """Return version, cluster and configuration."""
        return await self._get("status", Status)

    async def receivers(self) -> list[str]:
        """Return the receivers' names."""
        return [one.name for one in await self._get("receivers", list[Receiver])]

    async def alerts(self, **query: str) -> list[Alert]:
        """Return the alerts."""
        return await self._get("alerts", list[Alert], **query)

    async def groups(self, **query: str) -> list[Group]:
        """Return the groups of alerts."""
        return await self._get("alerts/groups", list[Group], **query)

    async def silences(self) -> list[Silence]:
        """Return the silences."""
        return await self._get("silences", list[Silence])

    async def post_silence(self, **silence: Any) -> str:
        """Make a silence, and return its id."""
        async with self._relay.session.post(f"{self._relay.admin}/api/v2/silences", json=silence) as answer:
            assert answer.status == 200, await answer.text()
            return str((await answer.json())["silenceID"])
