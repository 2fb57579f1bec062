"""The section `sources`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from relay.core.event import Severity
from relay.settings.accounts import ClientTls
from relay.settings.auth import HEADER, Auth, AuthSettings
from relay.settings.maps import MapSettings, or_a_name, ready_mapping
from relay.settings.section import Strict
from relay.settings.types import (
    PositiveDuration,
    Proxy,
    Rate,
    Secret,
    Size,
    is_address,
    require_one,
    secrets_within,
    wrong,
)


class SourceBase(Strict):
    """Settings that all sources share."""

    format: str | None = Field(None, description="Format of the payloads; `relay` if neither this nor `map` is given.")
    map: MapSettings | None = Field(
        None,
        description="Expressions that read events from any JSON, in place of a format; or the name of a mapping that "
        "ships with the relay.",
        json_schema_extra=or_a_name,
    )
    when: str | None = Field(
        None,
        description="Expression (JMESPath) over an event: if it gives nothing, the event is dropped and only counted. "
        "Ends are never dropped.",
    )
    labels: dict[str, str] = Field({}, description="Added to the source's events; an event's own labels win.")
    severity: Severity = Field("warning", description="Severity of events that have none.")
    max_body: Size = Field(2**20, description="Largest request body or frame.")
    resolve_timeout: PositiveDuration = Field(
        86_400.0, description="Time without an event after which an alert ends as expired."
    )
    rate: Rate | None = Field(
        None,
        description="Maximum rate of events. Requests beyond it get 429, and a feed is read no faster. No limit by "
        "default.",
    )
    silent_after: PositiveDuration | None = Field(
        None,
        description="Time without a message after which the operator is notified. An APIC's answer counts as a "
        "message.",
    )
    silent_severity: Severity = Field("major", description="Severity of the notice about a silent source.")

    @field_validator("map", mode="before")
    @classmethod
    def _ready(cls, value: Any) -> Any:
        return ready_mapping(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_format(self) -> SourceBase:
        if self.format is not None and self.map is not None:
            raise wrong("expected format or map, found both; remove one", "format")
        return self


class PostedSettings(SourceBase):
    """A source whose events arrive at the events address."""

    auth: Auth | None = Field(None, description="Authentication; required if `listen.events` is not on loopback.")
    path: str | None = Field(
        None,
        description="Path in place of /hooks/NAME, /push/NAME or /api/v2/alerts.",
        pattern=r"^/[A-Za-z0-9_./~-]{1,200}$",
    )

    def path_of(self, name: str) -> str:
        """Return the path at which a source of this name listens."""
        return self.path or f"/hooks/{name}"


class WebhookSettings(PostedSettings):
    """A source whose events are posted to `/hooks/NAME`."""

    type: Literal["webhook"]


class PushSettings(PostedSettings):
    """A websocket that producers connect to, at `/push/NAME`."""

    type: Literal["push"]
    ping: PositiveDuration = Field(20.0, description="Time between two pings, and the deadline for each answer.")

    def path_of(self, name: str) -> str:
        """Return the path that producers connect to."""
        return self.path or f"/push/{name}"

    @model_validator(mode="after")
    def _authenticates_at_the_handshake(self) -> PushSettings:
        if isinstance(self.auth, AuthSettings) and (self.auth.signature or self.auth.sns):
            raise wrong("expected bearer, basic or header: the frames of a websocket are not signed", "auth")
        return self


class AlertmanagerApiSettings(PostedSettings):
    """A source of alerts that Prometheus posts as it would to Alertmanager: `/api/v2/alerts` of its API."""

    type: Literal["alertmanager-api"]

    def path_of(self, name: str) -> str:  # noqa: ARG002 - the base class's
        """Return the path that Prometheus posts to, unless its `path_prefix` says otherwise."""
        return self.path or "/api/v2/alerts"

    @model_validator(mode="after")
    def _reads_alerts(self) -> AlertmanagerApiSettings:
        if self.format is not None or self.map is not None:
            raise wrong(
                "format and map do not apply to this type: Prometheus posts alerts in one form; remove them",
                "format",
                "map",
            )
        return self


class WebsocketSettings(SourceBase):
    """A websocket feed that the relay connects to."""

    type: Literal["websocket"]
    url: str = Field(description="ws:// or wss:// address.", pattern=r"^wss?://\S+$")
    headers: dict[Annotated[str, Field(pattern=HEADER)], Secret] = Field(
        {}, description="Headers of the handshake; a value may be a secret."
    )
    send: tuple[Any, ...] = Field(
        (),
        description="Messages to send after connecting: JSON values, or texts sent as they are. A value within may be "
        "a secret.",
    )
    ping: PositiveDuration = Field(20.0, description="Time between two pings, and the deadline for each answer.")
    tls: ClientTls = Field(ClientTls(), description="Checks of the peer's certificate.")
    proxy: Proxy | None = Field(None, description="Address of a proxy; without it, HTTPS_PROXY and NO_PROXY apply.")

    @field_validator("send", mode="before")
    @classmethod
    def _with_secrets(cls, value: Any, info: ValidationInfo) -> Any:
        return secrets_within(value, info)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not is_address(value):
            raise wrong("expected an address with a host, like wss://feed.example.net/events")
        return value


class ApicSubscription(Strict):
    """A subscription: to a class, or to an object by its distinguished name."""

    class_: str | None = Field(
        None, alias="class", description="All objects of a class.", pattern=r"^[A-Za-z0-9]{1,100}$"
    )
    dn: str | None = Field(None, description="One object, like uni/tn-acme.", min_length=1, max_length=1_000)
    target: Literal["self", "children", "subtree"] | None = Field(
        None, description="The object itself, its children or everything below it (`query-target`)."
    )
    target_class: str | None = Field(
        None, description="Only targets of this class (`target-subtree-class`).", pattern=r"^[A-Za-z0-9,]{1,500}$"
    )
    filter: str | None = Field(
        None,
        description='A filter in the form of the APIC (`query-target-filter`), like ne(faultInst.severity,"info").',
        pattern=r"^[^\s&#][^&#]{0,2000}$",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> ApicSubscription:
        require_one(**{"class": self.class_, "dn": self.dn})
        return self


class ApicSettings(SourceBase):
    """Faults and changes of a Cisco APIC, by websocket subscriptions."""

    type: Literal["apic"]
    url: str | None = Field(None, description="The controller's address.")
    urls: tuple[str, ...] = Field((), description="Addresses of several controllers, tried in turn; in place of `url`.")
    username: str = Field(description="A user's name; with a login domain, apic:DOMAIN\\\\NAME.", min_length=1)
    password: Secret = Field(description="The user's password.")
    subscribe: tuple[ApicSubscription, ...] = Field(description="The subscriptions.", min_length=1, max_length=100)
    max_body: Size = Field(16 * 2**20, description="Largest frame.")
    resolve_timeout: PositiveDuration = Field(
        3_650 * 86_400.0,
        description="Time without an event after which a fault ends as expired. It is long, as the APIC reports ends.",
    )
    headers: dict[Annotated[str, Field(pattern=HEADER)], Secret] = Field(
        {}, description="Headers of all requests; a value may be a secret."
    )
    ping: PositiveDuration = Field(20.0, description="Time between two pings, and the deadline for each answer.")
    tls: ClientTls = Field(ClientTls(), description="Checks of the controllers' certificates.")
    proxy: Proxy | None = Field(None, description="Address of a proxy; without it, HTTPS_PROXY and NO_PROXY apply.")

    @property
    def controllers(self) -> tuple[str, ...]:
        """Return the addresses of all controllers."""
        return self.urls if self.url is None else (self.url,)

    @field_validator("url", "urls")
    @classmethod
    def _addresses(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for url in (value,) if isinstance(value, str) else value or ():
            if not (url.startswith(("http://", "https://")) and is_address(url)):
                raise wrong(f"expected an address like https://apic1.example.net, found {url[:100]!r}")
        return value

    @model_validator(mode="after")
    def _one_address(self) -> ApicSettings:
        require_one(url=self.url, urls=self.urls)
        return self

    @model_validator(mode="after")
    def _reads_objects(self) -> ApicSettings:
        if self.format is not None or self.map is not None:
            raise wrong(
                "format and map do not apply to this type: an APIC answers in one form; remove them", "format", "map"
            )
        return self


Source = Annotated[
    WebhookSettings | PushSettings | AlertmanagerApiSettings | WebsocketSettings | ApicSettings,
    Field(discriminator="type"),
]
