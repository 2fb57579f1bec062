"""Cisco APIC subscriptions: one session at a time. The state of every object is stored, so that no gap loses an event.

A new subscription is answered with the present objects. They are compared with the stored ones, and each object that
was raised, cleared, made or deleted in between becomes an event. The state is committed together with its events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from relay.core.event import Draft, SourceDefaults
from relay.formats.apic import Managed, fold, gone, items_of, objects_in, unwatched
from relay.formats.batch import read_each, selected, sort_out
from relay.formats.contract import Select, decode_json
from relay.listeners.apic_client import ApicClient, ApicError, Fabric, Query
from relay.listeners.staying import FeedLostError, Staying
from relay.pipeline.intake import Frame, Intake
from relay.ports import Clock

REFRESH = 20.0
"""Seconds between two refreshes of a subscription. The APIC drops it after 60 without one."""
AT_ONCE = 10
"""Subscriptions that are refreshed concurrently."""
SHORTEST = 5.0
"""Seconds between two renewals of a session, at least."""
PART = 500
"""Changed objects that share one payload."""
TURN = 500
"""Objects to compare before other tasks get a turn."""
_SEEN = "?"
"""Prefix of a subscription's path in the state: its objects were recorded at least once."""


class Kept(msgspec.Struct, frozen=True):
    """A stored object, and the paths of the subscriptions that it belongs to."""

    object: Managed
    by: tuple[str, ...]


class Change(msgspec.Struct, frozen=True):
    """A difference found by a comparison: the object, its drafts, and its new state under its `dn`."""

    object: Managed
    drafts: list[Draft]
    state: tuple[str, bytes | None]


_kept = msgspec.json.Decoder(Kept)


class ApicListener:
    """Turns the objects of one fabric's subscriptions into events. `controllers` are tried in turn."""

    def __init__(
        self,
        controllers: Sequence[ApicClient],
        queries: Sequence[Query],
        defaults: SourceDefaults,
        staying: Staying,
        intake: Intake,
        clock: Clock,
        select: Callable[[float], Select] | None = None,
    ) -> None:
        """Listen to a fabric; `select` begins to select the wanted events of a frame, as in `Format`."""
        self.staying = staying
        self._select = select
        self._controllers = controllers
        self._queries = queries
        self._defaults = defaults
        self._intake = intake
        self._clock = clock
        self._turn = 0
        self._over = asyncio.Event()
        self._known: dict[str, Kept] = {}
        self._seen: set[str] = set()
        self._subscriptions: dict[str, str] = {}
        self._cut_reason = ""
        self._reading = False
        self._as_found: set[str] = set()
        """The `dn` of objects unchanged since this session's queries: an older frame about them is outdated."""

    def stop(self) -> None:
        """Make `run` end once all received frames are committed."""
        self.staying.stopping.set()
        self._over.set()

    async def run(self) -> None:
        """Stay connected until `stop`."""
        if await self.staying.store(self._load_state):
            await self.staying.run(self._session)

    async def _load_state(self) -> None:
        for name, value in (await self._intake.state(self.staying.name)).items():
            if name.startswith(_SEEN):
                self._seen.add(name.removeprefix(_SEEN))
            else:
                self._known[name] = _kept.decode(value)

    async def _session(self) -> str:
        """Run one session from its login to its end; return why it ended. Raises `FeedLostError`."""
        controller = self._controllers[self._turn % len(self._controllers)]
        self._turn += 1  # whatever ends this session, the next one goes to another controller
        self._reading = False
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(self._try(controller))
            watch = tasks.create_task(self._cancel_on_stop(work))
            await asyncio.wait([work])
            watch.cancel()
        ended = "stopped" if work.cancelled() else work.result()
        if isinstance(ended, FeedLostError):
            raise ended
        return ended

    async def _try(self, controller: ApicClient) -> str | FeedLostError:
        try:
            async with controller.open() as fabric:
                return await self._work(fabric, controller.place)
        except ApicError as error:
            return FeedLostError(f"{controller.place}: {error}", refused=error.refused)
        except FeedLostError as error:
            return error

    async def _cancel_on_stop(self, work: asyncio.Task[Any]) -> None:
        """Cancel a login or query on a stop. Frames being read end by themselves, as they must be committed."""
        await self._clock.wait(self.staying.stopping, None)
        if not self._reading:
            work.cancel()

    async def _work(self, fabric: Fabric, place: str) -> str:
        self._cut_reason = ""
        self._subscriptions = {}
        self._over.clear()
        refused: ApicError | None = None
        async with asyncio.TaskGroup() as tasks:
            keeping = [
                tasks.create_task(self._close_on_stop(fabric)),
                tasks.create_task(self._keep_session(fabric)),
                tasks.create_task(self._keep_subscriptions(fabric)),
            ]
            try:
                if await self._subscribe(fabric):
                    self._reading = True
                    self.staying.opened(place)
                    await self.staying.read(fabric.frames(), self._commit)
            except ApicError as error:
                refused = error if error.refused else None
                self._cut_reason = self._cut_reason or str(error)
            finally:
                for task in keeping:
                    task.cancel()
        await fabric.close()
        if refused is not None:
            raise refused
        return self._cut_reason or fabric.ended

    async def _close_on_stop(self, fabric: Fabric) -> None:
        if not self.staying.stopping.is_set():
            await self._clock.wait(self._over, None)
        await fabric.close()

    # Session and subscriptions are kept alive

    async def _keep_session(self, fabric: Fabric) -> None:
        while not self._over.is_set():
            await self._clock.wait(self._over, max(SHORTEST, fabric.lasts / 2))
            await self._or_end(fabric.renew())

    async def _keep_subscriptions(self, fabric: Fabric) -> None:
        """Refresh all subscriptions before they lapse, `AT_ONCE` concurrently. New ones join the next round."""
        while not self._over.is_set():
            await self._clock.wait(self._over, REFRESH)
            due = list(self._subscriptions)  # read in each round: `_subscribe` may still be adding some
            for start in range(0, len(due), AT_ONCE):
                async with asyncio.TaskGroup() as tasks:
                    for subscription in due[start : start + AT_ONCE]:
                        tasks.create_task(self._or_end(fabric.refresh(subscription)))

    async def _or_end(self, request: Awaitable[None]) -> None:
        """Await a request; if it fails, end the session."""
        try:
            await request
            self.staying.heard()
        except ApicError as error:
            if not self._over.is_set():
                self._cut_reason = str(error)
                self._over.set()

    # Objects become events

    async def _subscribe(self, fabric: Fabric) -> bool:
        """Subscribe to all queries, and commit how they differ from the stored state. Return False on a stop."""
        present: dict[str, list[tuple[str, dict[str, str]]]] = {}
        for query in self._queries:
            snapshot = await fabric.subscribe(query)
            self._subscriptions[snapshot.id] = query.path
            present[query.path] = snapshot.objects
            if self._over.is_set():
                return False
        changed: list[Change] = []
        for change in self._differences(present):
            if change is None:
                await self._clock.wait(self._over, 0.0)  # give other tasks a turn
            else:
                changed.append(change)
        parts = [changed[start : start + PART] for start in range(0, len(changed), PART)]
        frames = [self._frame_of(part) for part in parts]
        begun, over = set(present) - self._seen, self._seen - set(present)
        if begun or over:
            self._seen = set(present)
            marks: list[tuple[str, bytes | None]] = [(_SEEN + path, b"1") for path in sorted(begun)]
            marks += [(_SEEN + path, None) for path in sorted(over)]
            frames.append(Frame([], b"{}", tuple(marks)))
        self._as_found = set(self._known)
        if not frames:
            return True
        made = [one for one in (self._intake.submission(self._defaults, frame) for frame in frames) if one is not None]
        return await self.staying.store(partial(self._intake.accept_frames, self.staying.name, made))

    def _differences(self, present: Mapping[str, Sequence[tuple[str, dict[str, str]]]]) -> Iterator[Change | None]:
        """Yield how the present objects differ from the known ones, and update those.

        Also yields None after each `TURN` objects, so that the caller can give other tasks a turn.
        """
        found: dict[str, tuple[Managed, tuple[str, ...]]] = {}
        for path, objects in present.items():
            for kind, attributes in objects:
                dn = attributes["dn"]
                before = found.get(dn)
                found[dn] = (Managed(kind, attributes), (path,) if before is None else (*before[1], path))
        for number, (dn, (current, by)) in enumerate(found.items(), 1):
            if number % TURN == 0:
                yield None
            kept = self._known.get(dn)
            silent = not any(path in self._seen for path in by)
            now, drafts = fold(None if kept is None else kept.object, current.kind, current.attributes, silent=silent)
            if now is not None and (fresh := Kept(now, by)) != kept:
                self._known[dn] = fresh
                yield Change(current, drafts, (dn, msgspec.json.encode(fresh)))
        for dn in [dn for dn in self._known if dn not in found]:
            kept = self._known.pop(dn)
            watched = any(path in present for path in kept.by)
            yield Change(kept.object, gone(kept.object) if watched else unwatched(kept.object), (dn, None))

    async def _commit(self, frames: Sequence[str | bytes]) -> None:
        await self.staying.commit(self._intake, self._defaults, frames, self._fold_frame)

    def _fold_frame(self, raw: bytes) -> Frame:
        payload = decode_json(raw)
        by = tuple(self._subscriptions[one] for one in _ids(payload) if one in self._subscriptions)
        state: list[tuple[str, bytes | None]] = []
        items = items_of(payload)
        select = self._begin_to_select()
        read = sort_out(
            read_each(
                items, lambda item: selected(self._fold_item(item, by, state), select, item), "imdata", most=len(items)
            )
        )
        return Frame(read.drafts, raw, tuple(state), read.unread, read.dropped)

    def _begin_to_select(self) -> Select | None:
        return None if self._select is None else self._select(self._clock.wall())

    def _frame_of(self, part: Sequence[Change]) -> Frame:
        """Return the frame of a part of the changes since the last session."""
        select = self._begin_to_select()
        read = sort_out([item for one in part for item in selected(one.drafts, select, _as_sent(one.object))])
        return Frame(read.drafts, _payload(part), tuple(one.state for one in part), dropped=read.dropped)

    def _fold_item(self, item: Any, by: tuple[str, ...], state: list[tuple[str, bytes | None]]) -> list[Draft]:
        """Fold an item of a frame into the known objects, add their changes to `state`, and return the drafts."""
        drafts: list[Draft] = []
        for kind, attributes in objects_in(item):
            dn = attributes.get("dn", "")
            kept = self._known.get(dn)
            if kept is None and attributes.get("status") == "deleted":
                continue  # its end was reported already, or its beginning never was
            known = None if kept is None else kept.object
            now, found = fold(known, kind, attributes, dated=dn in self._as_found)
            if now != known:
                self._as_found.discard(dn)
            drafts += found
            if now is None and kept is not None:
                del self._known[dn]
                state.append((dn, None))
            elif now is not None and dn and (kept is None or now != kept.object):
                self._known[dn] = Kept(now, by if kept is None else tuple(dict.fromkeys((*kept.by, *by))))
                state.append((dn, msgspec.json.encode(self._known[dn])))
        return drafts


def _ids(payload: object) -> Iterable[str]:
    """Return the ids of the subscriptions that a frame belongs to."""
    found = payload.get("subscriptionId") if isinstance(payload, dict) else None
    return [str(one) for one in found] if isinstance(found, list) else [str(found)]


def _payload(part: Iterable[Change]) -> bytes:
    """Return the changed objects as JSON, in the form in which an APIC sends them."""
    return msgspec.json.encode({"imdata": [_as_sent(one.object) for one in part]})


def _as_sent(one: Managed) -> dict[str, object]:
    return {one.kind: {"attributes": one.attributes}}
