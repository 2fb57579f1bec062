"""What is said of deliveries: to the log, to the metrics, and to the operator, on changes of state only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from relay.core.delivery import DeliveryState, Failed, Lease, Refused, Settlement, Throttled
from relay.core.diverting import Divert
from relay.core.rules import OPERATOR_SOURCE
from relay.core.suppression import Suppression
from relay.ports import Diverted, Log, Telemetry, Tell


class Chronicle:
    """Tells what the dispatcher does. `room_errors` holds the last refusal of each room that is refused, `last_errors`
    the last failure of each."""

    def __init__(self, telemetry: Telemetry, log: Log, tell: Tell) -> None:
        self.room_errors: dict[str, str] = {}
        self.last_errors: dict[str, str] = {}
        self._refused: set[str] = set()
        self._failing: set[tuple[str, str | None]] = set()
        self._telemetry = telemetry
        self._log = log
        self._tell = tell

    def recall(self, keys: Iterable[str]) -> None:
        """Take up what an earlier process told as firing: accounts and rooms that were refused."""
        for key in keys:
            kind, _, name = key.partition(":")
            if kind == "account":
                self._refused.add(name)
            elif kind == "room":
                self.room_errors[name] = "refused before the last start"

    def keep(self, rooms: Collection[str], accounts: Collection[str]) -> None:
        """Rooms and accounts that are configured no more have no trouble any more."""
        self.last_errors = {room: error for room, error in self.last_errors.items() if room in rooms}
        for room in self.room_errors.keys() - set(rooms):
            del self.room_errors[room]
            self._tell(f"room:{room}", f"relay: room {room} is configured no more", "info", "resolved", "")
        for account in self._refused - set(accounts):
            self._refused.remove(account)
            title = f"relay: account {account} is configured no more"
            self._tell(f"account:{account}", title, "info", "resolved", "")

    def suppressed(self, why: Suppression) -> None:
        """An event changes no message."""
        self._telemetry.suppressed(why)

    def ambiguous(self, account: str) -> None:
        """A send may have arrived unseen."""
        self._telemetry.ambiguous(account)

    def throttled(self, account: str, lease: Lease, outcome: Throttled) -> None:
        """The service asked to wait."""
        self._telemetry.throttled(account)
        seconds = round(outcome.seconds, 1)
        self._log.warning("throttled", account=account, seconds=seconds, delivery_id=lease.id, room=lease.room)

    def failed(self, account: str, lease: Lease, outcome: Failed | Refused, settlement: Settlement) -> None:
        """An attempt did not get through."""
        self._telemetry.failure(lease.room, outcome.kind)
        self.last_errors[lease.room] = outcome.detail
        if isinstance(outcome, Failed) and outcome.ambiguous:
            self._telemetry.ambiguous(account)
        self._log.warning(
            "delivery_dead" if settlement.state == "dead" else "delivery_failed",
            reason=outcome.kind,
            detail=outcome.detail,
            attempts=settlement.attempts,
            delivery_id=lease.id,
            event_id=lease.event.id,
            room=lease.room,
        )

    def bug(self, lease: Lease, error: Exception) -> None:
        """An attempt raised what it should not."""
        self._log.error("delivery_bug", delivery_id=lease.id, room=lease.room, error=repr(error))

    def template_failed(self, template: str, text: str | None, event_id: str, error: str) -> None:
        """Tell that a template with this text, or a card, failed. The operator hears it once for each text."""
        self._log.error("template_failed", template=template, event_id=event_id, error=error)
        if (template, text) in self._failing:  # the operator's own message may have failed by the same template
            return
        self._failing.add((template, text))
        said = f"Alerts go out all the same: in the built-in form, or without the card.\n{error}"
        self._tell(f"template:{template}", f"relay: template {template} fails", "major", "notice", said)

    def diverted(self, order: Divert, done: Diverted) -> None:
        """What waits for a room has gone to its fallback, or goes there no more."""
        if done.began:
            self._log.warning("room_diverted", room=order.room, to=order.to, moved=done.moved)
            title = f"relay: room {order.room} can't be reached: its messages go to {order.to}"
            self._tell(f"diverted:{order.room}", title, "major", "firing", "")
        elif done.moved:
            self._log.info("deliveries_moved", room=order.room, to=order.to, moved=done.moved)
        if done.ended:
            self._log.info("room_back", room=order.room)
            self._tell(f"diverted:{order.room}", f"relay: room {order.room} is back", "info", "resolved", "")

    def file_missing(self, lease: Lease, name: str, why: str) -> None:
        """A file that an event names can't be had; its thread says so."""
        self._log.warning("file_missing", file=name, why=why, event_id=lease.event.id, room=lease.room)

    def account_paused(self, account: str, detail: str) -> None:
        """The service refuses an account."""
        self._log.error("account_paused", account=account, detail=detail)
        self._refused.add(account)
        said = f"{detail}\nEverything for its rooms is kept and waits."
        self._tell(f"account:{account}", f"relay: account {account} is refused", "critical", "firing", said)

    def account_in_trouble(self, account: str, detail: str) -> None:
        """A service could not be asked whether it takes an account."""
        self._log.warning("account_not_checked", account=account, detail=detail)

    def account_resumed(self, account: str) -> None:
        """The service takes an account again, where it was refused."""
        if account not in self._refused:
            return
        self._refused.remove(account)
        self._log.info("account_resumed", account=account)
        self._tell(f"account:{account}", f"relay: account {account} is taken again", "info", "resolved", "")

    def room_refused(self, lease: Lease, detail: str) -> None:
        """The service refuses a room; its operator's own room can't be told so there."""
        room = lease.room
        if room not in self.room_errors and lease.event.source != OPERATOR_SOURCE:
            self._tell(f"room:{room}", f"relay: room {room} is refused", "major", "firing", detail)
        self.room_errors[room] = detail

    def room_works(self, room: str) -> None:
        """A message stands in a room."""
        if self.room_errors and self.room_errors.pop(room, None) is not None:
            self._tell(f"room:{room}", f"relay: room {room} takes messages again", "info", "resolved", "")

    def one_space(self, rooms: Sequence[str]) -> None:
        """Several names turned out to be one space."""
        self._log.warning("rooms_are_one_space", rooms=list(rooms))

    def dropped(self, room: str) -> None:
        """A delivery was given up by hand."""
        self._telemetry.settled(room, "dropped")

    def homeless(self, room: str, count: int) -> None:
        """Deliveries that waited for a room that is no longer configured."""
        self._log.error("room_gone", room=room, deliveries=count)
        said = "`relay deliveries retry` sends them once the room is configured again; `drop` gives them up"
        self._tell(
            f"gone:{room}", f"relay: {count} deliveries wait for room {room}, which is gone", "major", "notice", said
        )

    def taken_over(self, room: str, state: DeliveryState) -> None:
        """Another delivery took the place of one that waited."""
        self._telemetry.settled(room, state)

    def settled(self, lease: Lease, settlement: Settlement, now: float) -> None:
        """A delivery's end is on record; `now` is the machine's time, as that of its event's arrival is."""
        self._telemetry.settled(lease.room, settlement.state)
        if lease.note is not None:  # it tells of no event, and so of no time that one took
            return
        if settlement.state == "done":
            self._telemetry.posted_after(max(0.0, now - lease.event.received_at))
            self._log.debug("delivery_done", delivery_id=lease.id, event_id=lease.event.id, room=lease.room)
        elif lease.event.source != OPERATOR_SOURCE:
            said = f"{lease.event.title}\n{settlement.reason}: {settlement.detail}"
            title = f"relay: an alert for room {lease.room} could not be delivered"
            self._tell(f"dead:{lease.room}", title, "major", "notice", said)
