"""Values of planning: an event that waits, the records of its alert, and the plan for it."""

from __future__ import annotations

import msgspec

from relay.core.alert import Alert, AlertKey
from relay.core.delivery import Intent
from relay.core.event import Event
from relay.core.group import Group
from relay.core.incident import Incident
from relay.core.storm import Storm
from relay.core.suppression import Suppression


class Waiting(msgspec.Struct, frozen=True):
    """An event in the inbox with its place in the order of arrival.

    `at` is when it arrived, by the relay's own clock. For one that is read back from the store, it is when it was read.
    """

    seq: int
    event: Event
    at: float


class Known(msgspec.Struct):
    """The records of a batch's keys: their alerts, and the last incident of each key in each room."""

    alerts: dict[AlertKey, Alert]
    incidents: dict[AlertKey, dict[str, Incident]]


class Plan(msgspec.Struct):
    """The changes that a batch makes. `incidents`, `groups` and `storms` are by id, as they stand after it.

    The batch has `events` new events, the last of them `up_to`; both are 0 if it has none.
    `touched` are groups whose incidents have changed. They are looked at next, and created if they do not exist yet.
    `stirred` are storms whose incidents have changed, each with the time to look at it. `suppressed` are the seqs of
    events that change no message, each with the reason.
    """

    up_to: int
    intents: list[Intent] = []
    alerts: dict[AlertKey, Alert] = {}
    incidents: dict[int, Incident] = {}
    groups: dict[str, Group] = {}
    touched: dict[str, Group] = {}
    storms: dict[str, Storm] = {}
    stirred: dict[str, float] = {}
    adopted: list[Waiting] = []
    suppressed: list[tuple[int, Suppression]] = []
    events: int = 0
