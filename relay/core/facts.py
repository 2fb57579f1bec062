"""Facts about a running relay, of which `look` in `core/wellness.py` makes findings."""

from __future__ import annotations

from typing import Literal

import msgspec

from relay.core.event import Severity


class AccountFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An account: why its service refuses it, when its refresh token ends, and why that could not be renewed."""

    name: str
    rooms: tuple[str, ...] = ()
    refused: str | None = None
    refresh_until: float | None = None
    token_trouble: str | None = None


class RoomFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A room: why its service refuses it, the fallback that it goes to, and what of its deliveries is in trouble.

    `oldest` and `failing` are seconds. `dead` counts deliveries that did not get through, `untold` the open incidents
    that the room knows nothing of because of it; `death` names the last alert that did not, and why.
    """

    name: str
    refused: str | None = None
    goes_to: str | None = None
    failing: float = 0.0
    last_error: str | None = None
    oldest: float = 0.0
    aside: int = 0
    aside_critical: int = 0
    dead: int = 0
    untold: int = 0
    death: str = ""


class SourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A source.

    `silent` is how long it may be silent if it is silent now, `feed` the trouble of its feed; `echoes`: it is braked.
    """

    name: str
    silent: str | None = None
    silence_is: Severity = "major"
    feed: Literal["down", "refused"] | None = None
    feed_error: str | None = None
    echoes: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a relay. `now` is the machine's time in Unix seconds, as the ends of tokens are.

    `stuck` names loops that hang. `gone` are rooms that left the configuration and have dead deliveries. `problems` are
    those of a configuration that was refused, `restart` the changed keys that wait for a restart.
    """

    now: float
    running: bool = True
    stuck: str | None = None
    store: Literal["full", "broken"] | None = None
    store_trouble: str = ""
    queue_full: bool = False
    heartbeat: str | None = None
    problems: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    accounts: tuple[AccountFacts, ...] = ()
    rooms: tuple[RoomFacts, ...] = ()
    gone: tuple[RoomFacts, ...] = ()
    sources: tuple[SourceFacts, ...] = ()
