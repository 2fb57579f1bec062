"""The configuration as a whole. The field descriptions of its sections are the reference in `relay schema` and
config/README.md."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from relay.settings.accounts import Account
from relay.settings.limits import FileSettings, HeartbeatSettings, Keep, LimitSettings, Retry
from relay.settings.listen import Listen, Operator
from relay.settings.rooms import Room, TemplateFile
from relay.settings.routing import InhibitSettings, NamedInterval, RouteSettings
from relay.settings.section import Strict
from relay.settings.sources import Source
from relay.settings.types import (
    Duration,
    Name,
    Zone,
)


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
    log: Literal["debug", "info", "notice", "warning", "error"] = Field(
        "notice",
        description="Least level of log lines: notice has changes of state, info also each accepted request and each "
        "message sent. `relay run --log-level` wins.",
    )
    watch: bool = Field(default=False, description="Reload when a file of the configuration has changed.")
    stop_grace: Duration = Field(10.0, description="Time that messages in flight get when the relay stops.")
    include: tuple[str, ...] | str = Field(
        (), description="More files to read; their accounts, rooms, sources and templates are added."
    )
