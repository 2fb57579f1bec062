"""Intake: it makes events of drafts, with ids, and commits them before anything is acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from relay.core.alert import AlertKey
from relay.core.event import (
    OPERATOR_SOURCE,
    Draft,
    Dropped,
    Event,
    SourceDefaults,
    Unread,
    has_unknown_severity,
    stamp,
)
from relay.core.own import OwnAccounts
from relay.core.plan import Waiting
from relay.pipeline.arrivals import Arrivals
from relay.ports import (
    Accepted,
    Clock,
    Conflict,
    Inbox,
    Log,
    Refusal,
    StoreError,
    StoreUnavailableError,
    Submission,
    Telemetry,
)

BETWEEN_NOTES = 60.0
"""Seconds between two log lines about refused requests of one source for one reason."""

MOST_REFUSED = 100
"""The most refused items of one request that are kept one by one. The rest is kept as one refusal."""


class QueueFullError(StoreUnavailableError):
    """The queue has reached `limits.queue`, or one source has reached its share, `limits.backlog`."""


class Frame(msgspec.Struct, frozen=True):
    """The content of one frame of a feed, and the state from which its listener resumes (`Submission.state`)."""

    drafts: Sequence[Draft]
    payload: bytes
    state: tuple[tuple[str, bytes | None], ...] = ()
    unread: Sequence[Unread] = ()
    dropped: Sequence[Dropped] = ()


class Intake:
    """The one way into the inbox for all listeners."""

    def __init__(
        self,
        inbox: Inbox,
        clock: Clock,
        new_id: Callable[[float], str],
        telemetry: Telemetry,
        log: Log,
        arrivals: Arrivals,
        has_room: Callable[[], bool],
        redact: Callable[[str], str],
    ) -> None:
        """`arrivals` gets the committed events; `redact` removes secrets from reasons."""
        self.last_at: dict[str, float] = {}
        """When the last event of each source was committed since the start, in Unix seconds."""
        self._inbox = inbox
        self._clock = clock
        self._new_id = new_id
        self._telemetry = telemetry
        self._log = log
        self._arrivals = arrivals
        self._has_room = has_room
        self._redact = redact
        self._noted: dict[tuple[str, str], float] = {}
        self.own = OwnAccounts()

    async def accept(
        self,
        defaults: SourceDefaults,
        drafts: Sequence[Draft],
        payload: bytes,
        dedupe_key: str | None = None,
        unread: Sequence[Unread] = (),
    ) -> Accepted | Conflict:
        """Commit the events of one request, and its items that could not be read, together.

        Raises `StoreError`, and `QueueFullError` before anything is written.
        """
        drafts = self._without_own(defaults.source, drafts)
        if not (drafts or unread):
            return Accepted(())
        if drafts:
            self._check_room(defaults.source)
        began = self._clock.now()
        submission = self._submission(defaults, drafts, payload, dedupe_key if drafts else None, unread)
        outcome = await self._commit(submission)
        self._telemetry.accepted_in(self._clock.now() - began)
        self._record(defaults.source, submission, outcome)
        return outcome

    def submission(self, defaults: SourceDefaults, frame: Frame) -> Submission | None:
        """Return a frame's submission, or None if the frame is empty. Drafts of wrong types raise their own errors."""
        self.drop(defaults.source, frame.dropped)
        drafts = self._without_own(defaults.source, frame.drafts)
        if not (drafts or frame.state or frame.unread):
            return None
        return self._submission(defaults, drafts, frame.payload, None, frame.unread, frame.state)

    def _without_own(self, source: str, drafts: Sequence[Draft]) -> Sequence[Draft]:
        """Leave out drafts that the relay's own accounts wrote. They are no events."""
        for draft in drafts:
            if draft.authors:
                break
        else:
            return drafts  # nearly always, and on the way of every event
        own = [draft for draft in drafts if draft.authors and self.own.has(draft.authors)]
        for draft in own:
            self._telemetry.own()
            self._log.debug("own_message", source=source, title=draft.title)
        return [draft for draft in drafts if draft not in own] if own else drafts

    def drop(self, source: str, dropped: Sequence[Dropped]) -> None:
        """Count events that nobody asked for. Nothing of them is stored."""
        if not dropped:
            return
        self._telemetry.dropped(source, len(dropped))
        for one in dropped:
            self._log.debug("event_dropped", source=source, title=None if one.draft is None else one.draft.title)

    async def accept_frames(self, source: str, frames: list[Submission]) -> None:
        """Commit the frames of a feed together. Raises as `accept` does. `frames` then holds the frames to retry."""
        self._check_room(source)
        began = self._clock.now()
        begun = [(frame, self._commit(frame)) for frame in frames]
        frames.clear()
        trouble: StoreError | None = None
        for frame, outcome in begun:
            try:
                await self._settle(frame, outcome)
            except StoreError as error:
                trouble = trouble or error
                frames.append(frame)
        if trouble is not None:
            raise trouble
        self._telemetry.accepted_in(self._clock.now() - began)

    async def _settle(self, frame: Submission, begun: Awaitable[Accepted | Conflict]) -> None:
        try:
            outcome = await begun
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the border around one frame: drafts that can't be written
            await self.refuse(frame.source, "malformed", f"bug: {error!r}", frame.payload)
        else:
            self._record(frame.source, frame, outcome)

    async def state(self, source: str) -> dict[str, bytes]:
        """Return the state of a source that was committed last, by name. Raises `StoreError`."""
        return await self._inbox.source_state(source)

    async def acknowledge(self, key: AlertKey, by: str, comment: str) -> None:
        """Commit that someone has taken up an alert. Raises `StoreError`."""
        await self._commit_notice(key, acknowledgement(key, by, comment))

    async def unacknowledge(self, key: AlertKey, by: str, comment: str) -> None:
        """Commit that someone has withdrawn the acknowledgement of an alert. Raises `StoreError`."""
        await self._commit_notice(key, unacknowledgement(key, by, comment))

    async def _commit_notice(self, key: AlertKey, notice: Draft) -> None:
        now = self._clock.wall()
        await self._commit(notice_of_alert(key, notice, self._new_id(now), now))

    def _commit(self, submission: Submission) -> Awaitable[Accepted | Conflict]:
        """Begin to commit a submission. The planner may take its events from now on."""
        try:
            begun = self._inbox.accept(submission)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - drafts that can't be written are their own submission's trouble
            return _failing(error)
        if not submission.events:
            return begun.outcome
        now = self._clock.now()
        events = [Waiting(seq, event, now) for seq, event in enumerate(submission.events, begun.first_seq)]
        self._arrivals.expect(events, early=submission.dedupe_key is None)  # one with a key may be on record already
        begun.outcome.add_done_callback(partial(self._landed, events))
        return begun.outcome

    def _landed(self, events: Sequence[Waiting], done: asyncio.Future[Accepted | Conflict]) -> None:
        ok = not done.cancelled() and done.exception() is None
        outcome = done.result() if ok else None
        self._arrivals.landed(events, fresh=isinstance(outcome, Accepted) and not outcome.duplicate)

    def _check_room(self, source: str) -> None:
        if source == OPERATOR_SOURCE:  # its notices are few, and one of them says that the queue is full
            return
        if not self._has_room():
            raise QueueFullError("the queue has reached `limits.queue`")
        if self._arrivals.has_backlog(source):
            share = self._arrivals.backlog
            raise QueueFullError(f"{share} events of this source wait already; that is its share, `limits.backlog`")

    def _submission(
        self,
        defaults: SourceDefaults,
        drafts: Sequence[Draft],
        payload: bytes,
        dedupe_key: str | None,
        unread: Sequence[Unread],
        state: tuple[tuple[str, bytes | None], ...] = (),
    ) -> Submission:
        now = self._clock.wall()
        events = tuple([stamp(draft, defaults, self._new_id(now), now) for draft in drafts])
        return Submission(
            source=defaults.source,
            received_at=now,
            payload=payload,
            events=events,
            dedupe_key=dedupe_key,
            digest=None if dedupe_key is None else hashlib.sha256(payload).digest(),
            refused=_refusals(defaults.source, unread, payload, now) if unread else (),
            unknown_severities=0 if len(events) == 1 and events[0].severity_given else _count_unknown(drafts, events),
            state=state,
        )

    def _record(self, source: str, submission: Submission, outcome: Accepted | Conflict) -> None:
        if isinstance(outcome, Conflict):
            return
        if outcome.duplicate:
            self._telemetry.duplicate(source, len(submission.events))
            self._log.info("request_repeated", source=source, events=len(submission.events))
            return
        if submission.refused:
            self._record_refused(source, submission.refused)
        if submission.unknown_severities:
            self._telemetry.unknown_severity(source, submission.unknown_severities)
        for event in submission.events:
            self._telemetry.received(source, event.status, 1)
        if submission.events:
            events = submission.events  # one line for a request of thousands
            self._log.info("request_accepted", source=source, events=len(events), event_id=events[0].id)
            self.last_at[source] = submission.received_at

    def _record_refused(self, source: str, refused: Sequence[Refusal]) -> None:
        """Count the refused items of a request; write one log line for all of them."""
        first, count = refused[0], sum(one.count for one in refused)
        self._telemetry.refused(source, first.reason, count)
        self._log.warning("event_refused", source=source, reason=first.reason, detail=first.detail, items=count)

    def note_refused(self, source: str, reason: str, detail: str) -> None:
        """Log a refused request, at most once a minute for each source and reason."""
        now = self._clock.now()
        if now - self._noted.get((source, reason), -BETWEEN_NOTES) >= BETWEEN_NOTES:
            self._noted[source, reason] = now
            detail = self._redact(detail)
            self._log.warning("request_refused", source=source, reason=reason, detail=detail)

    async def refuse(self, source: str, reason: str, detail: str, payload: bytes) -> None:
        """Record input that could not be read. Raises `StoreError`."""
        self._telemetry.refused(source, reason)
        detail = self._redact(detail)
        self._log.warning("event_refused", source=source, reason=reason, detail=detail)
        refusal = Refusal(source=source, received_at=self._clock.wall(), reason=reason, detail=detail, payload=payload)
        await self._inbox.refuse(refusal)


def _count_unknown(drafts: Sequence[Draft], events: Sequence[Event]) -> int:
    """Return how many events have a severity that is an unknown word."""
    count = 0
    for draft, event in zip(drafts, events, strict=True):
        if not event.severity_given and has_unknown_severity(draft):
            count += 1
    return count


def _refusals(source: str, unread: Sequence[Unread], payload: bytes, now: float) -> tuple[Refusal, ...]:
    """Return the refusals of unreadable items; after `MOST_REFUSED`, one for the rest, with the whole payload."""
    kept = [
        Refusal(source=source, received_at=now, reason="malformed", detail=one.error, payload=_encoded(one.item))
        for one in unread[:MOST_REFUSED]
    ]
    if more := len(unread) - len(kept):
        detail = f"{more} more items of this payload could not be read"
        kept.append(
            Refusal(source=source, received_at=now, reason="malformed", detail=detail, payload=payload, count=more)
        )
    return tuple(kept)


def _encoded(item: object) -> bytes:
    """Return an item as it came: as JSON, or as text if it was not JSON."""
    try:
        text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
    except RecursionError:
        text = "(nested too deeply to be kept)"
    return text.encode(errors="replace")


async def _failing(error: Exception) -> Accepted | Conflict:
    raise error


def acknowledgement(key: AlertKey, by: str, comment: str) -> Draft:
    """Return the notice that someone has taken up an alert."""
    return Draft(title=f"acknowledged by {by}", key=key[1], body=comment, acknowledged_by=by)


def unacknowledgement(key: AlertKey, by: str, comment: str) -> Draft:
    """Return the notice that someone has withdrawn the acknowledgement of an alert."""
    return Draft(title=f"acknowledgement withdrawn by {by}", key=key[1], body=comment, unacknowledged_by=by)


def notice_of_alert(key: AlertKey, notice: Draft, event_id: str, now: float) -> Submission:
    """Return the submission of a notice that someone made about an alert; `now` in Unix seconds."""
    source, _ = key
    defaults = SourceDefaults(source=source, format="acknowledgement", severity="info")
    return Submission(source=source, received_at=now, payload=b"{}", events=(stamp(notice, defaults, event_id, now),))
