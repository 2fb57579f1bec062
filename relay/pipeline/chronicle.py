"""Reports about deliveries to the log, the metrics and the operator, on changes of state only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from relay.core.delivery import DeliveryState, Failed, Lease, Refused, Settlement, Throttled
from relay.core.diverting import Divert
from relay.core.suppression import Suppression
from relay.ports import Changed, Diverted, Log, NotifyOperator, Telemetry


class Chronicle:
    """Reports the dispatcher's work. By room, `room_errors` has the refusal of each refused room.

    `last_errors` has the last failure of each room, `refused` the accounts that their services refuse.
    """

    def __init__(self, telemetry: Telemetry, log: Log, notify: NotifyOperator, changed: Changed = lambda: None) -> None:
        self.room_errors: dict[str, str] = {}
        self.last_errors: dict[str, str] = {}
        self.refused: set[str] = set()
        self._failing: set[tuple[str, str | None]] = set()
        self._posted_again: set[int] = set()
        """Deliveries whose message was deleted by somebody: they post it anew."""
        self._telemetry = telemetry
        self._log = log
        self._notify = notify
        self._changed = changed

    def recall(self, keys: Iterable[str]) -> None:
        """Restore the refused accounts and rooms of an earlier process, by the keys of its open notices."""
        for key in keys:
            kind, _, name = key.partition(":")
            if kind == "account_refused":
                self.refused.add(name)
            elif kind == "room_refused":
                self.room_errors[name] = "refused before the last start"

    def keep(self, rooms: Collection[str], accounts: Collection[str]) -> None:
        """Forget the trouble of rooms and accounts that are configured no more."""
        self.last_errors = {room: error for room, error in self.last_errors.items() if room in rooms}
        self.room_errors = {room: error for room, error in self.room_errors.items() if room in rooms}
        self.refused &= set(accounts)

    def suppressed(self, why: Suppression) -> None:
        """Count an event that changes no message."""
        self._telemetry.suppressed(why)

    def ambiguous(self, account: str) -> None:
        """Count a send that may have arrived although no answer came."""
        self._telemetry.ambiguous(account)

    def throttled(self, account: str, lease: Lease, outcome: Throttled) -> None:
        """Report a throttle: the service asked the account to wait."""
        self._telemetry.throttled(account)
        seconds = round(outcome.seconds, 1)
        self._log.warning("throttled", account=account, seconds=seconds, delivery_id=lease.id, room=lease.room)

    def failed(self, account: str, lease: Lease, outcome: Failed | Refused, settlement: Settlement) -> None:
        """Report a failed attempt, which left the delivery waiting or dead."""
        self._telemetry.failure(lease.room, outcome.kind)
        self.last_errors[lease.room] = outcome.detail
        if settlement.message_is == "gone":
            self._posted_again.add(lease.id)
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
        """Report an unexpected exception of an attempt."""
        self._log.error("delivery_bug", delivery_id=lease.id, room=lease.room, error=repr(error))

    def template_failed(self, template: str, text: str | None, event_id: str, error: str) -> None:
        """Report that a template with this text, or a card, failed. The operator is notified once for each text."""
        self._log.error("template_failed", template=template, event_id=event_id, error=error)
        if (template, text) in self._failing:  # the operator's own message may have failed by the same template
            return
        self._failing.add((template, text))
        body = f"Alerts go out all the same: in the built-in form, or without the card.\n{error}"
        self._notify(f"template:{template}", f"relay: template {template} fails", "major", "notice", body)

    def diverted(self, order: Divert, done: Diverted) -> None:
        """Report that deliveries moved to a room's fallback, or that the room is back."""
        if done.began:
            self._log.warning("room_diverted", room=order.room, to=order.to, moved=done.moved)
            self._changed()
        elif done.moved:
            self._log.notice("deliveries_moved", room=order.room, to=order.to, moved=done.moved)
        if done.ended:
            self._log.notice("room_back", room=order.room)
            self._changed()

    def file_missing(self, lease: Lease, name: str, why: str) -> None:
        """Report a file that an event names and the relay can't get. The message's thread says so, too."""
        self._log.warning("file_missing", file=name, why=why, event_id=lease.event.id, room=lease.room)

    def account_paused(self, account: str, detail: str) -> None:
        """Report that the service refuses an account."""
        self._log.error("account_paused", account=account, detail=detail)
        self.refused.add(account)
        self._changed()

    def account_in_trouble(self, account: str, detail: str) -> None:
        """Report that a service could not be asked whether it accepts an account."""
        self._log.warning("account_not_checked", account=account, detail=detail)

    def account_resumed(self, account: str) -> None:
        """Report that the service accepts an account again, if it was refused."""
        if account not in self.refused:
            return
        self.refused.remove(account)
        self._log.notice("account_resumed", account=account)
        self._changed()

    def room_refused(self, lease: Lease, detail: str) -> None:
        """Report a refused room."""
        if lease.room not in self.room_errors:
            self._changed()
        self.room_errors[lease.room] = detail

    def room_works(self, room: str) -> None:
        """Report that a room takes messages again, if it was refused."""
        if self.room_errors and self.room_errors.pop(room, None) is not None:
            self._changed()

    def one_space(self, rooms: Sequence[str]) -> None:
        """Report that several names of rooms turned out to be one space."""
        self._log.warning("rooms_are_one_space", rooms=list(rooms))

    def dropped(self, room: str) -> None:
        """Count a delivery that someone dropped by hand."""
        self._telemetry.settled(room, "dropped")

    def homeless(self, room: str, count: int) -> None:
        """Report deliveries that are dead because their room is no longer configured."""
        self._log.error("room_gone", room=room, deliveries=count)
        self._changed()

    def taken_over(self, room: str, state: DeliveryState) -> None:
        """Count a waiting delivery that another has replaced."""
        self._telemetry.settled(room, state)

    def settled(self, lease: Lease, settlement: Settlement, now: float) -> None:
        """Report a delivery's end, once committed. `now` is the machine's time, as an event's arrival is."""
        self._telemetry.settled(lease.room, settlement.state)
        again = lease.id in self._posted_again
        self._posted_again.discard(lease.id)
        if settlement.state == "done":
            self._log.info(
                "message_sent",
                delivery_id=lease.id,
                event_id=lease.event.id,
                room=lease.room,
                action=lease.action,
                message_id=settlement.remote_id or lease.remote,
            )
        if lease.note is not None:  # a note belongs to no event, so it has no time from event to room
            return
        if settlement.state == "done" and lease.action == "post" and lease.kind != "digest" and not again:
            self._telemetry.posted_after(max(0.0, now - lease.event.received_at))
