"""How a source is authenticated: the key `auth`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from relay.settings.section import Strict
from relay.settings.types import (
    Secrets,
    require_one,
)

HEADER = r"^[A-Za-z0-9-]{1,100}$"


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
