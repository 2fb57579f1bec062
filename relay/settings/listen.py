"""The sections `listen` and `operator`."""

from __future__ import annotations

from pydantic import Field

from relay.settings.section import Strict
from relay.settings.types import (
    FileName,
    ListenAddress,
    Secrets,
)


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
    alertmanager_version: str = Field(
        "0.25.0",
        description="Version that Alertmanager's API v2 states. amtool warns if it has another than its own.",
        pattern=r"^\d+\.\d+\.\d+$",
    )


class Operator(Strict):
    """The room that gets the relay's own problems."""

    room: str = Field(description="Name of a room.")
