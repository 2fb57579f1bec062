"""The section `accounts`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from relay.settings.section import Strict
from relay.settings.types import (
    FileName,
    Proxy,
    Rate,
    Secret,
    is_address,
    require_one,
    wrong,
)

SCOPES = tuple(
    f"spark:{what}"
    for what in (
        *("messages_write", "messages_read", "rooms_read", "rooms_write"),
        *("memberships_read", "memberships_write", "people_read"),
    )
)


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
