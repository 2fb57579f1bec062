"""The shape of the configuration. Its field descriptions are the reference in `relay schema` and config/README.md."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from relay.core.event import Severity
from relay.core.times import TimeInterval, parse_times
from relay.settings.problems import near
from relay.settings.types import (
    Changes,
    ClockTime,
    DaysOfMonth,
    Duration,
    Email,
    FileName,
    ListenAddress,
    Months,
    Name,
    PositiveDuration,
    Proxy,
    Rate,
    RoomId,
    Secret,
    Secrets,
    Size,
    Weekdays,
    WholeNumber,
    Years,
    Zone,
    is_address,
    require_one,
    secrets_within,
    wrong,
)

PERSON_ID = 40
"""Least length, in characters, at which a person without an @ counts as an id."""
SCOPES = tuple(
    f"spark:{what}"
    for what in (
        *("messages_write", "messages_read", "rooms_read", "rooms_write"),
        *("memberships_read", "memberships_write", "people_read"),
    )
)
HEADER = r"^[A-Za-z0-9-]{1,100}$"


class Strict(BaseModel):
    """A section of the configuration: unknown keys are errors, and values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)


class ListenTls(Strict):
    """A certificate for both listeners."""

    cert: FileName = Field(description="PEM file of the certificate and its chain.")
    key: FileName = Field(description="PEM file of the private key.")


class Listen(Strict):
    """Where the relay listens."""

    events: ListenAddress = Field(
        "127.0.0.1:9080", validate_default=True, description="Address for incoming events; the only one to expose."
    )
    admin: ListenAddress = Field(
        "127.0.0.1:9081", validate_default=True, description="Address of the API, the metrics and the health checks."
    )
    tls: ListenTls | None = Field(None, description="TLS for both listeners.")
    admin_token: Secrets | None = Field(
        None, description="Token for everything but health checks; required if `admin` is not on loopback."
    )
    admin_hosts: tuple[str, ...] = Field((), description="More host names under which clients reach the admin address.")


class Operator(Strict):
    """The room that gets the relay's own problems."""

    room: str = Field(description="Name of a room.")


class ClientTls(Strict):
    """Checks of a peer's certificate."""

    ca: FileName | None = Field(None, description="PEM file of a private certificate authority.")
    verify: bool = Field(default=True, description="If false, accept any certificate and warn at every start.")


class _AccountSettings(Strict):
    """Settings that all accounts share."""

    url: str
    pace: Rate | None = Field(None, description="Maximum rate of messages, shared fairly by the account's rooms.")
    tls: ClientTls = Field(ClientTls(), description="Checks of the service's certificate.")
    proxy: Proxy | None = Field(None, description="Address of a proxy; without it, HTTPS_PROXY and NO_PROXY apply.")

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise wrong("expected an address that begins with https:// (or http:// on loopback)")
        if not is_address(value):  # the message does not quote the address, which may hold a password
            raise wrong("expected an address with a host, like https://webexapis.com/v1")
        return value.rstrip("/")


class OAuthSettings(Strict):
    """An integration: a person grants its tokens with `relay login`, and the relay renews them."""

    client_id: str = Field(description="The integration's client id.", min_length=1)
    client_secret: Secret = Field(description="Its client secret.")
    redirect_uri: str = Field(
        "http://127.0.0.1:9082/callback",
        description="Address that Webex sends the browser back to, as set in the integration; `relay login` listens "
        "there.",
        pattern=r"^https?://\S+$",
    )
    scopes: tuple[str, ...] = Field(SCOPES, description="Scopes that a person is asked to grant.", min_length=1)


class WebexAccount(_AccountSettings):
    """A Webex account: exactly one of `token` and `oauth`, and the address of the API."""

    type: Literal["webex"]
    token: Secret | None = Field(None, description="Access token of a bot or a person.")
    oauth: OAuthSettings | None = Field(None, description="An integration; `relay login` gets its tokens.")
    url: str = Field("https://webexapis.com/v1", description="Base address of the API.")

    @model_validator(mode="after")
    def _one_credential(self) -> WebexAccount:
        require_one(token=self.token, oauth=self.oauth)
        return self


class SpikaAccount(_AccountSettings):
    """An access token of a Spika server, whose bot posts to the rooms that it is a member of."""

    type: Literal["spika"]
    access_token: Secret = Field(description="Access token of a bot.")
    url: str = Field(description="Base address of the server.")


Account = Annotated[WebexAccount | SpikaAccount, Field(discriminator="type")]


class Room(Strict):
    """A destination: exactly one of `id`, `title`, `person`."""

    account: str = Field(description="Name of an account.")
    id: RoomId | None = Field(None, description="The room's id at the service; for Spika a number.")
    title: str | None = Field(None, description="The room's title; the relay looks it up when it first needs the room.")
    person: str | None = Field(None, description="E-mail address or id of a person, for a direct message.")
    create: bool = Field(default=False, description="Create the room if no room has the title.")
    members: tuple[str, ...] = Field((), description="E-mail addresses to add to a room that the relay creates.")
    template: str | None = Field(None, description="Name of a template for this room's messages.")
    digest_over: Annotated[WholeNumber, Field(gt=0)] = Field(
        10,
        description="Number of new messages that may wait. If more wait and sending them would take over 5 s, they "
        "become one digest.",
    )

    card: CardFile | None = Field(
        None,
        description="A card for each message about a single alert. Such a message can't be edited; its text is shown "
        "by clients without cards.",
    )
    fallback: str | None = Field(
        None, description="Name of the room that gets the messages while this one can't be reached."
    )
    fallback_after: Duration = Field(
        120.0,
        description="Time of failing after which messages go to the fallback; at once if the room or its account is "
        "refused.",
    )

    @model_validator(mode="after")
    def _one_address(self) -> Room:
        require_one(id=self.id, title=self.title, person=self.person)
        if self.person is not None and "@" not in self.person and len(self.person) < PERSON_ID:
            raise wrong(
                f"person: expected an e-mail address like oncall@example.net, or a person's id; found {self.person!r}"
            )
        if (self.create or self.members) and self.title is None:
            raise wrong("create and members work only with a title; give the room a title")
        return self


class BasicAuth(Strict):
    """A user's name and password."""

    username: str = Field(description="The user's name.")
    password: Secrets = Field(description="The password, or a list of them during a rotation.")


class HeaderAuth(Strict):
    """A header of your choice with a secret value."""

    name: str = Field(description="The header's name.", pattern=HEADER)
    value: Secrets = Field(description="Its value, or a list of them during a rotation.")


class SnsAuth(Strict):
    """Amazon's signature on the messages of the listed topics."""

    topics: tuple[Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d+:\S+$")], ...] = Field(
        description="ARNs of the topics; everything else is refused.", min_length=1
    )
    confirm: bool = Field(default=False, description="Confirm subscriptions of these topics.")


class AuthSettings(Strict):
    """Authentication of a source: exactly one of these. Each secret may be a list, for rotation."""

    bearer: Secrets | None = Field(None, description="`Authorization: Bearer …`.")
    basic: BasicAuth | None = Field(None, description="`Authorization: Basic …`.")
    header: HeaderAuth | None = Field(None, description="A header of your choice.")
    signature: Secrets | None = Field(
        None, description="The secret that the vendor signs with; the source's format knows how."
    )

    sns: SnsAuth | None = Field(None, description="Amazon's signature; only for the format aws-sns.")

    @model_validator(mode="after")
    def _one(self) -> AuthSettings:
        require_one(bearer=self.bearer, basic=self.basic, header=self.header, signature=self.signature, sns=self.sns)
        return self


def _auth_tag(value: object) -> str:
    return "none" if value == "none" else "AuthSettings"


Auth = Annotated[
    Annotated[AuthSettings, Tag("AuthSettings")] | Annotated[Literal["none"], Tag("none")], Discriminator(_auth_tag)
]
"""Tagged, so that no error quotes the value as a wrong `none`: it may be a secret."""


def ready_mapping(name: str) -> dict[str, Any]:
    """Return a mapping that ships with the relay, as plain values. Raises a validation error for an unknown name."""
    folder = files("relay.formats.mappings")
    known = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    if name not in known:
        raise wrong(f"no mapping is called {name[:40]!r}{near(name, known)}; known are {', '.join(known)}")
    found: dict[str, Any] = yaml.safe_load(folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
    return found


class MapSettings(Strict):
    """JMESPath expressions that read an event from any JSON."""

    title: str = Field(description="The event's title; the only expression that must give a value.")
    each: str | None = Field(None, description="A list within the payload: one event per item.")
    status: str | None = Field(
        None, description="firing, resolved or notice, or a word of `statuses`; if absent, notice."
    )
    severity: str | None = Field(None, description="A word of `severities`, or one of the built-in words: P1, error, …")
    key: str | None = Field(None, description="The alert's key, which matches a resolved event to its firing one.")
    body: str | None = Field(None, description="The event's text.")
    occurred_at: str | None = Field(None, description="A time: RFC 3339, or epoch seconds or milliseconds.")
    labels: dict[str, str] = Field({}, description="An expression for each label.")
    links: dict[str, str] = Field({}, description="For each link's name, an expression that gives its address.")
    files: str | None = Field(None, description="A file's address, or a list of them.")
    acknowledged_by: str | None = Field(None, description="Who has acknowledged the alert with this `key`.")
    unacknowledged_by: str | None = Field(
        None, description="Who has withdrawn the acknowledgement; meant for notices, like the one above."
    )
    downtime: str | None = Field(
        None,
        description="Whether a downtime suppresses the source's alerts: true or 'began', then 'ended'; otherwise null.",
    )
    when: str | None = Field(None, description="An item is an event only if this gives a value; if absent, always.")
    severities: dict[str, Severity] = Field(
        {},
        description="Severities for the payload's own numbers or words; case does not matter.",
    )
    statuses: dict[str, Literal["firing", "resolved", "notice"]] = Field(
        {}, description="Statuses for the payload's own words."
    )


class SourceBase(Strict):
    """Settings that all sources share."""

    format: str | None = Field(None, description="Format of the payloads; `relay` if neither this nor `map` is given.")
    map: MapSettings | None = Field(
        None,
        description="Expressions that read events from any JSON, in place of a format; or the name of a mapping that "
        "ships with the relay.",
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
            raise wrong("expected format or map, found both; remove one")
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
            raise wrong("expected bearer, basic or header: the frames of a websocket are not signed")
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
            raise wrong("format and map do not apply to this type: Prometheus posts alerts in one form; remove them")
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
            raise wrong("format and map do not apply to this type: an APIC answers in one form; remove them")
        return self


Source = Annotated[
    WebhookSettings | PushSettings | AlertmanagerApiSettings | WebsocketSettings | ApicSettings,
    Field(discriminator="type"),
]


class RouteSettings(Strict):
    """A node of the routing tree, with Alertmanager's meaning."""

    rooms: tuple[str, ...] | None = Field(
        None, description="Rooms for matching events; inherited if not given. `[]` sends them nowhere."
    )
    matchers: tuple[str, ...] = Field(
        (), description='Conditions that must all match, like severity=~"critical|major".'
    )
    continue_: bool = Field(default=False, alias="continue", description="Go on with the next sibling after a match.")
    template: str | None = Field(None, description="Name of a template; the route's wins over the room's.")
    card: CardFile | None = Field(None, description="A card, as for rooms; the route's wins over the room's.")
    on_update: Changes | None = Field(
        None,
        description="Action when an alert changes: edit (the default), reply, post, none, or a list of these.",
    )
    on_resolve: Changes | None = Field(
        None, description="Action when an alert ends: the same words; the default is [edit, reply]."
    )
    repeat_interval: PositiveDuration | None = Field(
        None, description="Time after which a reply reminds of an alert that still fires; default 4h."
    )
    reopen_within: Duration | None = Field(
        None,
        description="Time after its end in which an alert that fires again reopens its old message; default 10m.",
    )
    group_by: tuple[str, ...] | None = Field(
        None,
        description="Labels (or `source`, `severity`, `title`, `key`, `format`). Alerts with the same values share one "
        "message; `...` means all labels, [] one group. Without it, each alert has its own message.",
    )
    group_wait: Duration | None = Field(None, description="Time that a new group waits for more alerts; default 30s.")
    group_interval: Duration | None = Field(
        None, description="Time between two updates of a group's message; default 5m. 0s updates it at once."
    )
    mention: tuple[Email, ...] | None = Field(
        None,
        description="E-mail addresses that a new message mentions when an alert opens as critical or becomes critical.",
    )
    mute_time_intervals: tuple[str, ...] = Field(
        (), description="Names of `time_intervals` in which this route sends nothing; not inherited."
    )
    active_time_intervals: tuple[str, ...] = Field(
        (), description="Names of `time_intervals` outside of which this route sends nothing; not inherited."
    )
    routes: tuple[RouteSettings, ...] = Field((), description="Children, tried in order.")


class Clocks(Strict):
    """A stretch of the day."""

    start_time: ClockTime = Field(description="HH:MM, from 00:00.")
    end_time: ClockTime = Field(description="HH:MM, up to 24:00; not included.")

    @model_validator(mode="after")
    def _forward(self) -> Clocks:
        try:
            parse_times(self.start_time, self.end_time)
        except ValueError as error:
            raise wrong(str(error)) from error
        return self


class IntervalSettings(Strict):
    """A recurring stretch of time, with Alertmanager's meaning: all given fields must match."""

    times: tuple[Clocks, ...] = Field((), min_length=1, description="Stretches of the day.")
    weekdays: tuple[Weekdays, ...] = Field((), min_length=1, description="Like monday:friday.")
    days_of_month: tuple[DaysOfMonth, ...] = Field((), min_length=1, description="Like 1:7, or -1 for the last.")
    months: tuple[Months, ...] = Field((), min_length=1, description="Like january:march, or 1:3.")
    years: tuple[Years, ...] = Field((), min_length=1, description="Like 2026, or 2026:2028.")
    location: Zone = Field("UTC", validate_default=True, description="Time zone of the interval.")

    def compiled(self) -> TimeInterval:
        """Return the interval as a value of core."""
        return TimeInterval(
            times=tuple(parse_times(one.start_time, one.end_time) for one in self.times),
            weekdays=self.weekdays,
            days_of_month=self.days_of_month,
            months=self.months,
            years=self.years,
            zone=self.location,
        )


class NamedInterval(Strict):
    """Stretches of time under one name."""

    name: str = Field(description="Name that routes use.", min_length=1)
    time_intervals: tuple[IntervalSettings, ...] = Field(
        description="The intervals; the name covers a time that any of them covers."
    )


class InhibitSettings(Strict):
    """A rule: while an alert that matches the source matchers fires, it inhibits those that match the target ones."""

    source_matchers: tuple[str, ...] = Field(description="Matchers of the alerts that inhibit others.")
    target_matchers: tuple[str, ...] = Field(description="Matchers of the alerts that are inhibited.")
    equal: tuple[str, ...] = Field(
        (), description="Labels that must have the same value in both (or be absent in both)."
    )


class CardFile(Strict):
    """An adaptive card as a template: JSON in Jinja2."""

    file: FileName = Field(description="The file.")


class TemplateFile(Strict):
    """A template in a file of its own."""

    file: FileName = Field(description="The file.")


class FileSettings(Strict):
    """The files that events name: where they may come from, and who fetches them."""

    directories: tuple[FileName, ...] = Field((), description="Directories that local files may come from.")
    fetch: bool = Field(
        default=False,
        description="If true, the relay fetches addresses itself, from public servers only; otherwise Webex does.",
    )
    max_size: Annotated[Size, Field(gt=0, le=100 * 10**6)] = Field(20 * 2**20, description="Largest file.")


class Retry(Strict):
    """The schedule of retries after a delivery failed."""

    first: PositiveDuration = Field(1.0, description="Delay after the first failure; it doubles with each further one.")
    longest: PositiveDuration = Field(300.0, description="Longest delay.")
    give_up_after: PositiveDuration = Field(86_400.0, description="Time of failing after which a delivery is dead.")

    @model_validator(mode="after")
    def _grows(self) -> Retry:
        if self.first > self.longest:
            raise wrong(
                f"expected first to be at most longest, found {self.first:g}s and {self.longest:g}s: the delay grows "
                "from first to longest"
            )
        return self


class Keep(Strict):
    """How long finished deliveries and their events stay on record."""

    done: Duration = Field(7 * 86_400.0, description="Time to keep delivered ones.")
    dead: Duration = Field(30 * 86_400.0, description="Time to keep dead ones.")
    size: Size = Field(2 * 2**30, description="Largest size of the database; delivered ones are pruned first.")


class LimitSettings(Strict):
    """Limits of the whole relay."""

    queue: Annotated[WholeNumber, Field(gt=0)] = Field(
        1_000_000, description="Number of deliveries that may wait before new events get 503."
    )
    backlog: Annotated[WholeNumber, Field(gt=0)] = Field(
        5_000,
        description="Number of events of one source that may wait for planning before it gets 503; other sources go "
        "on.",
    )


class HeartbeatSettings(Strict):
    """A dead man's switch that the relay posts to as long as all is well."""

    url: Secret = Field(description="Address to post to; it is treated as a secret.")
    interval: PositiveDuration = Field(60.0, description="Time between two posts.")


class Settings(Strict):
    """The relay's configuration."""

    listen: Listen = Field(Listen(), description="Where the relay listens.")
    storage: str | None = Field(
        None,
        description="The database, as sqlite:PATH; default $STATE_DIRECTORY/relay.db, else ./relay.db.",
        pattern=r"^sqlite:.+$",
    )
    operator: Operator | None = Field(None, description="The room that gets the relay's own problems.")
    timezone: Zone = Field("UTC", validate_default=True, description="Time zone of times in messages.")
    accounts: dict[Name, Account] = Field(description="Credentials of services.")
    rooms: dict[Name, Room] = Field(description="Where alerts go.")
    sources: dict[Name, Source] = Field({}, description="Where events come from.")
    route: RouteSettings = Field(
        description="The root of the routing tree; its `rooms` get the events that no child route matches."
    )
    time_intervals: tuple[NamedInterval, ...] = Field((), description="Times that routes can name.")
    inhibit_rules: tuple[InhibitSettings, ...] = Field((), description="Rules by which firing alerts inhibit others.")
    templates: dict[Name, str | TemplateFile] = Field({}, description="Markdown in Jinja2, inline or {file: PATH}.")
    files: FileSettings = Field(
        FileSettings(), description="The files that events name: where they may come from, and who fetches them."
    )
    retry: Retry = Field(Retry(), description="The schedule of retries after a delivery failed.")
    keep: Keep = Field(Keep(), description="How long finished deliveries and their events stay on record.")
    limits: LimitSettings = Field(LimitSettings(), description="Limits of the whole relay.")
    heartbeat: HeartbeatSettings | None = Field(
        None, description="A dead man's switch that the relay posts to as long as all is well."
    )
    watch: bool = Field(default=False, description="Reload when a file of the configuration has changed.")
    stop_grace: Duration = Field(10.0, description="Time that messages in flight get when the relay stops.")
    include: tuple[str, ...] | str = Field(
        (), description="More files to read; their accounts, rooms, sources and templates are added."
    )
