"""The configuration's shape. Field descriptions are the reference that `relay schema` and the README give."""

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
    secrets_within,
    wrong,
)

PERSON_ID = 40
"""Characters from which a person without an @ is taken for an id."""
SCOPES = tuple(
    f"spark:{what}"
    for what in (
        *("messages_write", "messages_read", "rooms_read", "rooms_write"),
        *("memberships_read", "memberships_write", "people_read"),
    )
)
HEADER = r"^[A-Za-z0-9-]{1,100}$"


class Strict(BaseModel):
    """Unknown keys are errors; values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)


class ListenTls(Strict):
    """A certificate for both listeners."""

    cert: FileName = Field(description="PEM file of the certificate and its chain.")
    key: FileName = Field(description="PEM file of the private key.")


class Listen(Strict):
    """Where the relay listens."""

    events: ListenAddress = Field(
        "127.0.0.1:9080", validate_default=True, description="Webhooks; the one address to expose."
    )
    admin: ListenAddress = Field("127.0.0.1:9081", validate_default=True, description="API, metrics and health.")
    tls: ListenTls | None = Field(None, description="TLS for both listeners.")
    admin_token: Secrets | None = Field(
        None, description="Needed for all but health; required where `admin` is not loopback."
    )
    admin_hosts: tuple[str, ...] = Field(
        (), description="Names under which the admin address is reached, beside its own."
    )


class Operator(Strict):
    """Where the relay tells its own trouble."""

    room: str = Field(description="Name of a room.")


class ClientTls(Strict):
    """How a peer's certificate is checked."""

    ca: FileName | None = Field(None, description="PEM file of a private authority.")
    verify: bool = Field(default=True, description="False takes any certificate, and warns at every start.")


class _AccountSettings(Strict):
    """What all accounts have."""

    url: str
    pace: Rate | None = Field(None, description="Most messages a time, shared fairly by the account's rooms.")
    tls: ClientTls = Field(ClientTls(), description="How the service's certificate is checked.")
    proxy: Proxy | None = Field(None, description="Proxy's address; HTTPS_PROXY and NO_PROXY are honoured without it.")

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise wrong("an address with https:// (or http:// on loopback) would be right")
        if not is_address(value):
            raise wrong("is no address; it would read like https://webexapis.com/v1")
        return value.rstrip("/")


class OAuthSettings(Strict):
    """An integration: tokens that a person grants by `relay login`, renewed by the relay."""

    client_id: str = Field(description="The integration's client id.", min_length=1)
    client_secret: Secret = Field(description="Its client secret.")
    redirect_uri: str = Field(
        "http://127.0.0.1:9082/callback",
        description="Where Webex sends a person back to, as the integration has it; `relay login` listens there.",
        pattern=r"^https?://\S+$",
    )
    scopes: tuple[str, ...] = Field(SCOPES, description="What a person is asked for.", min_length=1)


class WebexAccount(_AccountSettings):
    """Exactly one of a token and an integration, and the address it is good for."""

    type: Literal["webex"]
    token: Secret | None = Field(None, description="Access token of a bot or a person.")
    oauth: OAuthSettings | None = Field(None, description="An integration whose tokens `relay login` gets.")
    url: str = Field("https://webexapis.com/v1", description="Base address of the API.")

    @model_validator(mode="after")
    def _one_credential(self) -> WebexAccount:
        if (self.token is None) == (self.oauth is None):
            raise wrong(
                f"one of token and oauth would be right; there {'is none' if self.token is None else 'are both'}"
            )
        return self


class SpikaAccount(_AccountSettings):
    """An access token of a Spika server; its bot posts to the rooms that it is a member of."""

    type: Literal["spika"]
    access_token: Secret = Field(description="Access token of a bot.")
    url: str = Field(description="Base address of the server.")


Account = Annotated[WebexAccount | SpikaAccount, Field(discriminator="type")]


class Room(Strict):
    """A destination: exactly one of `id`, `title`, `person`."""

    account: str = Field(description="Name of an account.")
    id: RoomId | None = Field(None, description="The service's id of the room; a number with Spika.")
    title: str | None = Field(None, description="The room's title; it is looked for when it is first needed.")
    person: str | None = Field(None, description="E-mail address or id of a person, for a direct message.")
    create: bool = Field(default=False, description="Create the room where no room has the title.")
    members: tuple[str, ...] = Field((), description="E-mail addresses that are added to a room that is created.")
    template: str | None = Field(None, description="Name of a template for this room's messages.")
    digest_over: Annotated[WholeNumber, Field(gt=0)] = Field(
        10, description="New messages that may wait, where they would take over 5 s, before they become one digest."
    )

    card: CardFile | None = Field(
        None,
        description="A card that goes with each message of one alert, which can't be edited then; the text is its "
        "fallback.",
    )
    fallback: str | None = Field(
        None, description="Name of the room that takes its messages while this one can't be reached."
    )
    fallback_after: Duration = Field(
        120.0, description="Failing time after which they go there; at once where the room or its account is refused."
    )

    @model_validator(mode="after")
    def _one_address(self) -> Room:
        given = [name for name in ("id", "title", "person") if getattr(self, name)]
        if len(given) != 1:
            raise wrong(f"one of id, title and person would be right; there {_count(given)}")
        if self.person is not None and "@" not in self.person and len(self.person) < PERSON_ID:
            raise wrong("person is an e-mail address, like oncall@example.net, or a person's id")
        if (self.create or self.members) and self.title is None:
            raise wrong("create and members go with a title")
        return self


def _count(given: list[str]) -> str:
    return "is none" if not given else f"are {' and '.join(given)}"


class BasicAuth(Strict):
    """A user's name and password."""

    username: str = Field(description="The user's name.")
    password: Secrets = Field(description="The password, or a list of them during a rotation.")


class HeaderAuth(Strict):
    """A header of your choice with a secret value."""

    name: str = Field(description="The header's name.", pattern=HEADER)
    value: Secrets = Field(description="Its value, or a list of them during a rotation.")


class SnsAuth(Strict):
    """Amazon's own signature, of the messages of some topics."""

    topics: tuple[Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d+:\S+$")], ...] = Field(
        description="ARNs of the topics; nothing else is taken.", min_length=1
    )
    confirm: bool = Field(default=False, description="Confirm subscriptions of these topics.")


class AuthSettings(Strict):
    """How a source proves itself: exactly one of these. Each secret may be a list, for rotation."""

    bearer: Secrets | None = Field(None, description="`Authorization: Bearer …`.")
    basic: BasicAuth | None = Field(None, description="`Authorization: Basic …`.")
    header: HeaderAuth | None = Field(None, description="A header of your choice.")
    signature: Secrets | None = Field(None, description="The secret by which the vendor signs, as its format knows.")

    sns: SnsAuth | None = Field(None, description="For the format aws-sns.")

    @model_validator(mode="after")
    def _one(self) -> AuthSettings:
        ways = ("bearer", "basic", "header", "signature", "sns")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) != 1:
            raise wrong(f"one of bearer, basic, header, signature and sns would be right; there {_count(given)}")
        return self


def _auth_tag(value: object) -> str:
    return "none" if value == "none" else "AuthSettings"


Auth = Annotated[
    Annotated[AuthSettings, Tag("AuthSettings")] | Annotated[Literal["none"], Tag("none")], Discriminator(_auth_tag)
]
"""Tagged, so that no error shows the value as a wrong `none`: it may be a secret."""


def ready_mapping(name: str) -> dict[str, Any]:
    """A mapping that comes with the relay, as configured."""
    folder = files("relay.formats.mappings")
    known = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    if name not in known:
        raise wrong(f"no mapping is called {name[:40]!r}{near(name, known)}; there are {', '.join(known)}")
    found: dict[str, Any] = yaml.safe_load(folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
    return found


class MapSettings(Strict):
    """JMESPath expressions that read an event from any JSON."""

    title: str = Field(description="The event's title; the one expression that must give something.")
    each: str | None = Field(None, description="A list within the payload: one event an item.")
    status: str | None = Field(None, description="firing, resolved or notice, or a word of `statuses`; absent: notice.")
    severity: str | None = Field(None, description="A word of `severities`, else one that all know: P1, error, …")
    key: str | None = Field(None, description="What firing and resolved are matched by.")
    body: str | None = Field(None, description="The event's text.")
    occurred_at: str | None = Field(None, description="A time: RFC 3339, or epoch seconds or milliseconds.")
    labels: dict[str, str] = Field({}, description="An expression for each label.")
    links: dict[str, str] = Field({}, description="An expression that gives an address, for each link's name.")
    files: str | None = Field(None, description="A file's address, or a list of them.")
    acknowledged_by: str | None = Field(None, description="Who has taken up what `key` stands for.")
    unacknowledged_by: str | None = Field(None, description="Who has withdrawn that; of a notice, as above.")
    downtime: str | None = Field(
        None,
        description="Whether a downtime holds the source's alerts back: true or 'began', then 'ended'; else null.",
    )
    when: str | None = Field(None, description="An item is an event where this gives something; absent: always.")
    severities: dict[str, Severity] = Field(
        {},
        description="What a number or a word of the payload's own means; case does not matter.",
    )
    statuses: dict[str, Literal["firing", "resolved", "notice"]] = Field(
        {}, description="The payload's words for statuses."
    )


class SourceBase(Strict):
    """What every source has."""

    format: str | None = Field(
        None, description="How payloads are read; `relay` where neither this nor `map` is given."
    )
    map: MapSettings | None = Field(
        None,
        description="Expressions that read events from any JSON, in place of a format; or the name of a mapping that "
        "comes with the relay.",
    )
    labels: dict[str, str] = Field({}, description="Added to the source's events; an event's own labels win.")
    severity: Severity = Field("warning", description="For events that have none.")
    max_body: Size = Field(2**20, description="Largest request or frame.")
    resolve_timeout: PositiveDuration = Field(
        86_400.0, description="Time without an event after which an alert ends as expired."
    )
    rate: Rate | None = Field(
        None, description="Most events a time; beyond it 429, and a feed is read no faster. No limit by default."
    )
    silent_after: PositiveDuration | None = Field(
        None, description="Time without a message, an APIC's answer included, after which the operator is told."
    )
    silent_severity: Severity = Field("major", description="How bad such a silence is.")

    @field_validator("map", mode="before")
    @classmethod
    def _ready(cls, value: Any) -> Any:
        return ready_mapping(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_format(self) -> SourceBase:
        if self.format is not None and self.map is not None:
            raise wrong("one of format and map would be right; there are both")
        return self


class PostedSettings(SourceBase):
    """Events that somebody posts to the events address."""

    auth: Auth | None = Field(None, description="Required where `listen.events` is not loopback.")
    path: str | None = Field(
        None,
        description="Another path than /hooks/NAME (or /api/v2/alerts).",
        pattern=r"^/[A-Za-z0-9_./~-]{1,200}$",
    )

    def path_of(self, name: str) -> str:
        """Where a source of this name listens."""
        return self.path or f"/hooks/{name}"


class WebhookSettings(PostedSettings):
    """Events that are posted to `/hooks/NAME`."""

    type: Literal["webhook"]


class PushSettings(PostedSettings):
    """A websocket that producers connect to, at `/push/NAME`."""

    type: Literal["push"]
    ping: PositiveDuration = Field(20.0, description="Time between two pings, and the deadline of each answer.")

    def path_of(self, name: str) -> str:
        """Where producers connect to."""
        return self.path or f"/push/{name}"

    @model_validator(mode="after")
    def _authenticates_at_the_handshake(self) -> PushSettings:
        if isinstance(self.auth, AuthSettings) and (self.auth.signature or self.auth.sns):
            raise wrong("bearer, basic or header would be right: a websocket's frames are not signed")
        return self


class AlertmanagerApiSettings(PostedSettings):
    """Alerts as Prometheus posts them to Alertmanager: `/api/v2/alerts` of its API."""

    type: Literal["alertmanager-api"]

    def path_of(self, name: str) -> str:  # noqa: ARG002 - the base class's
        """Where Prometheus posts to, unless its `path_prefix` says otherwise."""
        return self.path or "/api/v2/alerts"

    @model_validator(mode="after")
    def _reads_alerts(self) -> AlertmanagerApiSettings:
        if self.format is not None or self.map is not None:
            raise wrong("format and map go with other types: what Prometheus posts has one form")
        return self


class WebsocketSettings(SourceBase):
    """A feed that the relay connects to."""

    type: Literal["websocket"]
    url: str = Field(description="ws:// or wss:// address.", pattern=r"^wss?://\S+$")
    headers: dict[Annotated[str, Field(pattern=HEADER)], Secret] = Field(
        {}, description="Headers of the handshake; a value may be a secret."
    )
    send: tuple[Any, ...] = Field(
        (), description="Messages to send after connecting: JSON values, or texts as they stand; a value within may be "
        "a secret."
    )  # fmt: skip
    ping: PositiveDuration = Field(20.0, description="Time between two pings, and the deadline of each answer.")
    tls: ClientTls = Field(ClientTls(), description="How the peer's certificate is checked.")
    proxy: Proxy | None = Field(None, description="Proxy's address; HTTPS_PROXY and NO_PROXY are honoured without it.")

    @field_validator("send", mode="before")
    @classmethod
    def _with_secrets(cls, value: Any, info: ValidationInfo) -> Any:
        return secrets_within(value, info)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not is_address(value):
            raise wrong("is no address; it would read like wss://feed.example.net/events")
        return value


class ApicSubscription(Strict):
    """What is subscribed to: a class, or an object by its distinguished name."""

    class_: str | None = Field(
        None, alias="class", description="All objects of a class.", pattern=r"^[A-Za-z0-9]{1,100}$"
    )
    dn: str | None = Field(None, description="One object, like uni/tn-acme.", min_length=1, max_length=1_000)
    target: Literal["self", "children", "subtree"] | None = Field(
        None, description="The object itself, its children or all below it (`query-target`)."
    )
    target_class: str | None = Field(
        None, description="Of these, the ones of a class (`target-subtree-class`).", pattern=r"^[A-Za-z0-9,]{1,500}$"
    )
    filter: str | None = Field(
        None, description='As the APIC takes it (`query-target-filter`), like ne(faultInst.severity,"info").',
        pattern=r"^[^\s&#][^&#]{0,2000}$",
    )  # fmt: skip

    @model_validator(mode="after")
    def _one_kind(self) -> ApicSubscription:
        if (self.class_ is None) == (self.dn is None):
            raise wrong(f"one of class and dn would be right; there {'is none' if self.dn is None else 'are both'}")
        return self


class ApicSettings(SourceBase):
    """Faults and changes of a Cisco APIC, by websocket subscriptions."""

    type: Literal["apic"]
    url: str | None = Field(None, description="The controller's address.")
    urls: tuple[str, ...] = Field((), description="Addresses of several controllers, tried in turn; in place of `url`.")
    username: str = Field(description="A user's name; with a login domain apic:DOMAIN\\\\NAME.", min_length=1)
    password: Secret = Field(description="The user's password.")
    subscribe: tuple[ApicSubscription, ...] = Field(description="What is subscribed to.", min_length=1, max_length=100)
    max_body: Size = Field(16 * 2**20, description="Largest frame.")
    resolve_timeout: PositiveDuration = Field(
        3_650 * 86_400.0, description="Time without an event after which a fault ends as expired: the APIC tells ends."
    )
    headers: dict[Annotated[str, Field(pattern=HEADER)], Secret] = Field(
        {}, description="Headers of all requests; a value may be a secret."
    )
    ping: PositiveDuration = Field(20.0, description="Time between two pings, and the deadline of each answer.")
    tls: ClientTls = Field(ClientTls(), description="How the controllers' certificates are checked.")
    proxy: Proxy | None = Field(None, description="Proxy's address; HTTPS_PROXY and NO_PROXY are honoured without it.")

    @property
    def controllers(self) -> tuple[str, ...]:
        """The addresses of all controllers."""
        return self.urls if self.url is None else (self.url,)

    @field_validator("url", "urls")
    @classmethod
    def _addresses(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for url in (value,) if isinstance(value, str) else value or ():
            if not (url.startswith(("http://", "https://")) and is_address(url)):
                raise wrong(f"{url[:100]!r} is no address; it would read like https://apic1.example.net")
        return value

    @model_validator(mode="after")
    def _one_address(self) -> ApicSettings:
        if (self.url is None) == (not self.urls):
            raise wrong(f"one of url and urls would be right; there {'is none' if self.url is None else 'are both'}")
        return self

    @model_validator(mode="after")
    def _reads_objects(self) -> ApicSettings:
        if self.format is not None or self.map is not None:
            raise wrong("format and map go with other types: what an APIC says has one form")
        return self


Source = Annotated[
    WebhookSettings | PushSettings | AlertmanagerApiSettings | WebsocketSettings | ApicSettings,
    Field(discriminator="type"),
]


class RouteSettings(Strict):
    """A node of the routing tree, with Alertmanager's meaning."""

    rooms: tuple[str, ...] | None = Field(
        None, description="Where matching events go; inherited where it is not given. `[]` tells nobody."
    )
    matchers: tuple[str, ...] = Field((), description='All must match, like severity=~"critical|major".')
    continue_: bool = Field(default=False, alias="continue", description="Go on with the next sibling after a match.")
    template: str | None = Field(None, description="Name of a template; the route's wins over the room's.")
    card: CardFile | None = Field(None, description="A card, as for rooms; the route's wins over the room's.")
    on_update: Changes | None = Field(
        None, description="What a changed alert does: edit (the default), reply, post, none, or a list of these."
    )
    on_resolve: Changes | None = Field(
        None, description="What an alert's end does: likewise; the default is [edit, reply]."
    )
    repeat_interval: PositiveDuration | None = Field(
        None, description="Time after which a reply reminds of an alert that still fires; 4h."
    )
    reopen_within: Duration | None = Field(
        None, description="Time after its end in which an alert that fires again takes up its old message; 10m."
    )
    group_by: tuple[str, ...] | None = Field(
        None,
        description="Labels (or `source`, `severity`, `title`, `key`, `format`) whose values make a group that is told "
        "in one message; `...` for all labels, [] for one group. Without it each alert is a message of its own.",
    )
    group_wait: Duration | None = Field(None, description="Time that a new group waits for company; 30s.")
    group_interval: Duration | None = Field(
        None, description="Time between two updates of a group's message; 5m. 0s updates it at once."
    )
    mention: tuple[Email, ...] | None = Field(
        None, description="E-mail addresses that a new message mentions when an alert opens at critical or becomes so."
    )
    mute_time_intervals: tuple[str, ...] = Field(
        (), description="Names of `time_intervals` in which this route says nothing; not inherited."
    )
    active_time_intervals: tuple[str, ...] = Field(
        (), description="Names of `time_intervals` outside of which this route says nothing; not inherited."
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
    """A recurring stretch of time, with Alertmanager's meaning: all fields that are given must hold."""

    times: tuple[Clocks, ...] = Field((), min_length=1, description="Stretches of the day.")
    weekdays: tuple[Weekdays, ...] = Field((), min_length=1, description="Like monday:friday.")
    days_of_month: tuple[DaysOfMonth, ...] = Field((), min_length=1, description="Like 1:7, or -1 for the last.")
    months: tuple[Months, ...] = Field((), min_length=1, description="Like january:march, or 1:3.")
    years: tuple[Years, ...] = Field((), min_length=1, description="Like 2026, or 2026:2028.")
    location: Zone = Field("UTC", validate_default=True, description="Time zone of all this; UTC.")

    def compiled(self) -> TimeInterval:
        """The interval as core has it."""
        return TimeInterval(
            times=tuple(parse_times(one.start_time, one.end_time) for one in self.times), weekdays=self.weekdays,
            days_of_month=self.days_of_month, months=self.months, years=self.years, zone=self.location,
        )  # fmt: skip


class NamedInterval(Strict):
    """Stretches of time under one name."""

    name: str = Field(description="What routes call it.", min_length=1)
    time_intervals: tuple[IntervalSettings, ...] = Field(description="It holds where one of these does.")


class InhibitSettings(Strict):
    """While an alert that the source matchers match fires, those that the target matchers match are not told."""

    source_matchers: tuple[str, ...] = Field(description="Which alerts hold others back.")
    target_matchers: tuple[str, ...] = Field(description="Which alerts are held back.")
    equal: tuple[str, ...] = Field((), description="Labels that both must have with one value (or both lack).")


class CardFile(Strict):
    """An adaptive card as a template: JSON in Jinja2."""

    file: FileName = Field(description="The file.")


class TemplateFile(Strict):
    """A template in a file of its own."""

    file: FileName = Field(description="The file.")


class FileSettings(Strict):
    """Where the files come from that events name."""

    directories: tuple[FileName, ...] = Field((), description="Directories that local files may come from.")
    fetch: bool = Field(
        default=False, description="The relay gets addresses itself, from public servers alone; else Webex does."
    )
    max_size: Annotated[Size, Field(gt=0, le=100 * 10**6)] = Field(20 * 2**20, description="Largest file.")


class Retry(Strict):
    """When a delivery that failed is tried again."""

    first: PositiveDuration = Field(1.0, description="Delay after the first failure; it doubles with each.")
    longest: PositiveDuration = Field(300.0, description="The delay's limit.")
    give_up_after: PositiveDuration = Field(86_400.0, description="Failing time after which a delivery is dead.")

    @model_validator(mode="after")
    def _grows(self) -> Retry:
        if self.first > self.longest:
            raise wrong("first is over longest; the delay grows from the one to the other")
        return self


class Keep(Strict):
    """How long what is over stays on record."""

    done: Duration = Field(7 * 86_400.0, description="Deliveries that got through.")
    dead: Duration = Field(30 * 86_400.0, description="Deliveries that did not.")
    size: Size = Field(2 * 2**30, description="Size of the database; what is done is pruned first.")


class LimitSettings(Strict):
    """Bounds of the whole."""

    queue: Annotated[WholeNumber, Field(gt=0)] = Field(1_000_000, description="Deliveries that may wait before 503.")
    backlog: Annotated[WholeNumber, Field(gt=0)] = Field(
        5_000, description="Events of one source that may wait to be planned before it gets 503; others go on."
    )


class HeartbeatSettings(Strict):
    """A dead man's switch that hears from the relay as long as all is well."""

    url: Secret = Field(description="Address that is posted to; it is treated as a secret.")
    interval: PositiveDuration = Field(60.0, description="Time between two posts.")


class Settings(Strict):
    """The relay's configuration."""

    listen: Listen = Field(Listen(), description="Where the relay listens.")
    storage: str | None = Field(
        None,
        description="sqlite:PATH; default $STATE_DIRECTORY/relay.db, else ./relay.db",
        pattern=r"^sqlite:.+$",
    )
    operator: Operator | None = Field(None, description="Where the relay tells its own trouble.")
    timezone: Zone = Field("UTC", validate_default=True, description="Time zone of times in messages.")
    accounts: dict[Name, Account] = Field(description="Credentials of services.")
    rooms: dict[Name, Room] = Field(description="Where alerts go.")
    sources: dict[Name, Source] = Field({}, description="Where events come from.")
    route: RouteSettings = Field(description="The root of the routing tree; its `rooms` take what no route does.")
    time_intervals: tuple[NamedInterval, ...] = Field((), description="Times that routes can name.")
    inhibit_rules: tuple[InhibitSettings, ...] = Field((), description="Which alerts hold others back.")
    templates: dict[Name, str | TemplateFile] = Field({}, description="Markdown in Jinja2, inline or {file: PATH}.")
    files: FileSettings = Field(FileSettings(), description="Where the files come from that events name.")
    retry: Retry = Field(Retry(), description="When a delivery that failed is tried again.")
    keep: Keep = Field(Keep(), description="How long what is over stays on record.")
    limits: LimitSettings = Field(LimitSettings(), description="Bounds of the whole.")
    heartbeat: HeartbeatSettings | None = Field(None, description="A dead man's switch that hears from the relay.")
    watch: bool = Field(default=False, description="Reload when a file of the configuration has changed.")
    stop_grace: Duration = Field(10.0, description="Time that sends in flight get when the relay stops.")
    include: tuple[str, ...] | str = Field(
        (), description="More files; their accounts, rooms, sources and templates add up."
    )
