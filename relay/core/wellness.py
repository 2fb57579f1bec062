"""How well the relay is: one function finds what is wrong, worst first, each with a sentence and what to do about it.

The page, `relay status`, `--nagios`, `/readyz?verbose`, the metrics and the operator's room all show its findings. So a
sentence says the same as long as its trouble lasts: what changes meanwhile (a count, the last error) is its detail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relay.core.facts import AccountFacts, Facts, RoomFacts, SourceFacts
from relay.core.findings import CODES, DEGREES, Finding, Health, found, health
from relay.core.words import say_duration

LATE = 300.0
"""Seconds that a delivery may wait before its room counts as late."""
FAILING = 60.0
"""Seconds that a room may fail before that is a finding."""
ENDING = 7 * 86_400.0
"""Seconds before a refresh token's end from which that is a finding."""


def look(facts: Facts) -> tuple[Finding, ...]:
    """Return all that is wrong, worst first; empty if all is well."""
    refused = {room for account in facts.accounts if account.refused is not None for room in account.rooms}
    everything = [
        *_of_relay(facts),
        *_of_settings(facts),
        *(one for account in facts.accounts for one in _of_account(account, facts.now)),
        *(one for room in facts.rooms for one in _of_room(room, waits=room.name in refused)),
        *(_gone(room) for room in facts.gone),
        *(one for source in facts.sources for one in _of_source(source)),
    ]
    return tuple(sorted(everything, key=lambda one: (DEGREES.index(one.severity), CODES.index(one.code), one.about)))


def health_of_room(room: str, findings: Iterable[Finding]) -> Health:
    """Return how bad the worst finding is from which a room suffers."""
    return health(one for one in findings if room in one.rooms)


def state_of_room(room: RoomFacts, facts: Facts) -> str:
    """Return in a few words whether a room gets its messages, and if not, why."""
    refused = next((one for one in facts.accounts if room.name in one.rooms and one.refused is not None), None)
    error = f": {room.last_error}" if room.last_error else ""
    if refused is not None:
        return f"waits, as account {refused.name} is refused"
    if room.refused is not None:
        return f"refused: {room.refused}"
    if room.goes_to is not None:
        return f"goes to {room.goes_to}{error}"
    return f"fails for {say_duration(room.failing)}{error}" if room.failing > 0 else "works"


def _of_relay(facts: Facts) -> Iterator[Finding]:
    if not facts.running:
        yield found(
            "not_running",
            "No relay runs on this database.",
            "Start it: `systemctl start relay`, or `relay run`.",
        )
    if facts.stuck is not None:
        yield found(
            "hangs",
            "The relay hangs in one of its steps.",
            "Restart it if it does not go on by itself: `systemctl restart relay`.",
            detail=facts.stuck,
        )
    if facts.store == "full":
        yield found(
            "disk_full",
            "There is too little room for events; while there is none, senders are asked to send again later.",
            "Make room on the disk, or raise `keep.size` and reload. Events are taken again without a restart.",
            detail=facts.store_trouble,
        )
    if facts.store == "broken":
        yield found(
            "store_broken",
            "The database can't be written.",
            "Look at the disk and at the rights of the database's folder. The relay goes on by itself.",
            detail=facts.store_trouble,
        )
    if facts.queue_full:
        yield found(
            "queue_full",
            "The queue is full; senders are asked to send again later.",
            "See `relay status` for the room that holds it up, or raise `limits.queue` and reload.",
        )


def _of_settings(facts: Facts) -> Iterator[Finding]:
    if facts.problems:
        yield found(
            "reload_refused",
            "The last configuration was refused; the one before it stays in force.",
            "`relay check` lists its problems. Mend them, then `relay reload`.",
            detail="\n".join(facts.problems),
        )
    if facts.restart:
        yield found(
            "restart_needed",
            "Changes of the configuration wait for a restart.",
            "Restart the relay: `systemctl restart relay`.",
            detail=", ".join(facts.restart),
        )
    if facts.heartbeat is not None:
        yield found(
            "heartbeat_failed",
            "The heartbeat does not reach its address.",
            "Look at `heartbeat.url` and at the way there.",
            detail=facts.heartbeat,
        )


def _of_account(account: AccountFacts, now: float) -> Iterator[Finding]:
    name = account.name
    if account.refused is not None:
        yield found(
            "account_refused",
            f"Account {name} is refused; everything for its rooms waits.",
            "Put in a good token. What waits is then sent by itself.",
            about=name,
            rooms=account.rooms,
            detail=account.refused,
        )
    if account.token_trouble is not None and account.refused is None:
        yield found(
            "token_trouble",
            f"The tokens of account {name} can't be renewed.",
            f"Look at the detail. If it stays so, `relay login {name}` gets new ones.",
            about=name,
            rooms=account.rooms,
            detail=account.token_trouble,
        )
    if account.refresh_until is not None and account.refresh_until - now < ENDING:
        yield found(
            "token_ends",
            f"The refresh token of account {name} ends within a week; then nothing is sent.",
            f"Get a new one: `relay login {name}`.",
            about=name,
            rooms=account.rooms,
        )


def _of_room(room: RoomFacts, *, waits: bool) -> Iterator[Finding]:
    """Yield the findings of a room; one that `waits` for its refused account is not to blame for that."""
    name = room.name
    dead = f"relay deliveries list --state dead --room {name}"
    retry = f"relay deliveries retry --state dead --room {name}"
    if room.refused is not None:
        yield found(
            "room_refused",
            f"Room {name} is refused.",
            f"Add the bot to the room, or correct `id` or `title` and reload. Then `{retry}`.",
            about=name,
            rooms=(name,),
            detail=room.refused,
        )
    if room.untold:
        yield found(
            "untold_incident",
            f"Room {name} does not know of an incident that is open: its delivery is dead.",
            f"`{dead}` shows why. Mend that, then `{retry}`.",
            about=name,
            rooms=(name,),
            detail=room.death,
        )
    elif room.dead:
        yield found(
            "dead",
            f"Room {name} has dead deliveries.",
            f"`{dead}` shows why. Mend that, then `{retry}`; or give them up with `drop`.",
            about=name,
            rooms=(name,),
            detail=room.death,
        )
    if room.aside:
        yield _set_aside(room)
    if room.goes_to is not None:
        yield found(
            "room_diverted",
            f"Room {name} can't be reached; its messages go to {room.goes_to}.",
            "`relay status` has the error. The relay goes back by itself once the room can be reached.",
            about=name,
            rooms=(name,),
            detail=room.last_error or "",
        )
    elif not waits and room.failing > FAILING:
        yield found(
            "room_failing",
            f"Messages for room {name} do not get through.",
            "Nothing, if it passes: the relay keeps trying. Else look at the service and the way there.",
            about=name,
            rooms=(name,),
            detail=room.last_error or "",
        )
    elif not (waits or room.refused or room.aside) and room.oldest > LATE:
        yield found(
            "late",
            f"Deliveries for room {name} wait for over five minutes.",
            "If the service throttles, set `pace` on the account or group more: `relay status` shows a room's rest.",
            about=name,
            rooms=(name,),
        )


def _set_aside(room: RoomFacts) -> Finding:
    name, critical = room.name, room.aside_critical > 0
    what = "Critical alerts" if critical else "Deliveries"
    return found(
        "set_aside",
        f"{what} for room {name} are set aside, as they failed while others got through.",
        f"They are tried again by themselves; to try now: `relay deliveries retry --state waiting --room {name}`.",
        about=name,
        rooms=(name,),
        detail=f"{room.aside} set aside, {room.aside_critical} of them critical",
        notice="critical" if critical else "major",
    )


def _gone(room: RoomFacts) -> Finding:
    retry = f"relay deliveries retry --state dead --room {room.name}"
    return found(
        "room_gone",
        f"Room {room.name} left the configuration and has dead deliveries.",
        f"Configure it again, then `{retry}`; or give them up with `drop`.",
        about=room.name,
        rooms=(room.name,),
        detail=room.death,
    )


def _of_source(source: SourceFacts) -> Iterator[Finding]:
    name = source.name
    if source.feed is not None:
        yield found(
            "feed_down",
            f"Feed {name} is {source.feed}.",
            "Correct the token or the address, and reload. The relay connects again by itself.",
            about=name,
            detail=source.feed_error or "",
        )
    if source.silent is not None:
        yield found(
            "source_silent",
            f"Source {name} has been silent for more than {source.silent}.",
            "Look at the sender: whether it runs, and whether it reaches the relay.",
            about=name,
            notice=source.silence_is,
        )
    if source.echoes:
        yield found(
            "source_echoes",
            f"Source {name} repeats the relay's own messages; such events are not posted.",
            "Have it leave out the relay's own messages. This ends after five minutes without one.",
            about=name,
        )
