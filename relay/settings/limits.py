"""The sections `files`, `retry`, `keep`, `limits` and `heartbeat`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from relay.settings.section import Strict
from relay.settings.types import (
    Duration,
    FileName,
    PositiveDuration,
    Secret,
    Size,
    WholeNumber,
    wrong,
)


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
                "from first to longest",
                "first",
                "longest",
            )
        return self


class Keep(Strict):
    """How long finished deliveries and their events stay on record."""

    done: Duration = Field(7 * 86_400.0, description="Time to keep delivered ones.")
    dead: Duration = Field(30 * 86_400.0, description="Time to keep dead ones.")
    size: Size = Field(
        2 * 2**30,
        description="Largest size of the database; above 90 % of it, delivered ones are pruned before their time, then "
        "dead ones.",
    )


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
