"""The sections `route`, `time_intervals` and `inhibit_rules`."""

from __future__ import annotations

from pydantic import Field, model_validator

from relay.core.times import TimeInterval, parse_times
from relay.settings.rooms import CardFile
from relay.settings.section import Strict
from relay.settings.types import (
    Changes,
    ClockTime,
    DaysOfMonth,
    Duration,
    Email,
    Months,
    PositiveDuration,
    Weekdays,
    Years,
    Zone,
    wrong,
)


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
            raise wrong(str(error), "start_time", "end_time") from error
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
