"""The section `rooms`, and the files of cards and templates."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from relay.settings.section import Strict
from relay.settings.types import (
    Duration,
    FileName,
    RoomId,
    WholeNumber,
    require_one,
    wrong,
)

PERSON_ID = 40
"""Least length, in characters, at which a person without an @ counts as an id."""


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
                f"person: expected an e-mail address like oncall@example.net, or a person's id; found {self.person!r}",
                "person",
            )
        if (self.create or self.members) and self.title is None:
            raise wrong("create and members work only with a title; give the room a title", "create", "members")
        return self


class CardFile(Strict):
    """An adaptive card as a template: JSON in Jinja2."""

    file: FileName = Field(description="The file.")


class TemplateFile(Strict):
    """A template in a file of its own."""

    file: FileName = Field(description="The file.")
