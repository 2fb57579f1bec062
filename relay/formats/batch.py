"""Batches: each item of a payload is read by itself, so that a bad item never loses the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from relay.core.event import Draft, Dropped, Unread
from relay.formats.contract import MOST_EVENTS, Format, Request, Select, UnreadableError, Unrecognised, unrecognised

MOST_NAMED = 100
"""Refused items that an answer names."""
Item = Draft | Unread | Dropped


class Read(msgspec.Struct, frozen=True):
    """A payload's events, its items that could not be read, and its events that nobody asked for, each in its order."""

    drafts: list[Draft] = []
    unread: list[Unread] = []
    dropped: list[Dropped] = []


class RefusedItem(msgspec.Struct, frozen=True):
    """A refused item, as the answer to its sender names it."""

    index: int
    error: str


def refused_items(unread: Sequence[Unread]) -> tuple[list[RefusedItem], int]:
    """Return the items that an answer names as refused, and how many more were refused."""
    shown = unread[:MOST_NAMED]
    return [RefusedItem(one.index, one.error) for one in shown], len(unread) - len(shown)


def unread_parts(read: Read) -> list[str]:
    """Return the parts of a payload that its events do not show, as an answer names them: `[2].serverity`."""
    if len(read.drafts) == 1 and not read.drafts[0].unread and not read.dropped:
        return []  # nearly always
    found = [part for draft in read.drafts for part in draft.unread]
    if read.dropped:
        found += [part for one in read.dropped if one.draft is not None for part in one.draft.unread]
    more = len(found) - MOST_NAMED
    return [*found[:MOST_NAMED], f"and {more} more"] if more > 0 else found


def read_payload(format_: Format, request: Request) -> Read:
    """Read a payload. Each item of a list is read by itself, unless the format reads lists whole.

    Raises `UnreadableError` if the payload is no batch and can't be read, or if the format has a bug.
    """
    select = None if format_.select is None else format_.select(request.received_at)
    if isinstance(request.payload, list) and request.payload and not format_.lists:
        return _read_list(format_, request, select)
    try:
        return sort_out(selected(format_.read(request), select, request.payload))
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError("", _bug(error)) from error


def read_each(
    items: Sequence[Any], read: Callable[[Any], Iterable[Item]], where: str = "", most: int = MOST_EVENTS
) -> list[Item]:
    """Read items one by one. `where` is their place in the payload, for errors. Items beyond `most` are refused."""
    found: list[Item] = []
    for index, item in enumerate(items[:most]):
        if isinstance(item, Unread):
            found.append(item)
            continue
        try:
            found += [_placed(one, index, where) for one in read(item)]
        except UnreadableError as error:
            found.append(Unread(index, f"{where}[{index}]{'.' if error.field else ': '}{error}", item))
        except Exception as error:  # noqa: BLE001 - the border around one item: a bug in a format loses no other
            found.append(Unread(index, f"{where}[{index}]: {_bug(error)}", item))
    if len(items) > most:
        limit = f"at most {most} items of one payload are read; send this one and the rest in another payload"
        found.append(Unread(most, f"{where}[{most}]: {limit}", items[most]))
    return found


def _placed(one: Item, index: int, where: str) -> Item:
    """Return what was read of an item, with the place in the whole payload of all that could not be read."""
    if isinstance(one, Unread):
        return Unread(index, f"{where}[{index}].{one.error}", one.item)
    if isinstance(one, Dropped):
        return one if one.draft is None else Dropped(one.why, _draft_placed(one.draft, index, where))
    return _draft_placed(one, index, where)


def _draft_placed(draft: Draft, index: int, where: str) -> Draft:
    if not draft.unread:
        return draft
    return msgspec.structs.replace(draft, unread=tuple(f"{where}[{index}].{part}" for part in draft.unread))


def read_known(
    request: Request, items: Sequence[Any], read: Callable[[Any], Iterable[Item]], where: str = ""
) -> list[Item]:
    """Read items as `read_each` does. If none can be read, return the notice that shows the whole payload."""
    found = read_each(items, read, where)
    return [unrecognised(request)] if found and all(isinstance(one, Unread) for one in found) else found


def selected(found: Sequence[Item], select: Select | None, item: Any) -> Sequence[Item]:
    """Return what was read of a payload or an item, with a `Dropped` in place of each draft that is not wanted."""
    if select is None:
        return found
    return [select(one, item) if isinstance(one, Draft) else one for one in found or ()]


def _read_list(format_: Format, request: Request, select: Select | None) -> Read:
    """Read each item of a list by itself. If the format knows none of them, return the notice that shows the list."""
    unknown: list[Any] = []

    def read(item: Any) -> Sequence[Item]:
        found = format_.read(Request(item, request.source, request.headers, request.received_at))
        for one in found or ():
            if isinstance(one, Unrecognised):
                unknown.append(item)
                raise UnreadableError("", "the source's format does not know this payload")
        return selected(found, select, item)

    found = sort_out(read_each(request.payload, read))
    return Read([unrecognised(request)]) if unknown and not (found.drafts or found.dropped) else found


def sort_out(found: Iterable[Item]) -> Read:
    """Sort what was read into events, items that could not be read, and dropped events."""
    if isinstance(found, list) and len(found) == 1 and type(found[0]) is Draft:
        return Read(found)  # the most frequent payload by far
    found = list(found)
    unread = [one for one in found if isinstance(one, Unread)]
    dropped = [one for one in found if isinstance(one, Dropped)]
    return Read([one for one in found if isinstance(one, Draft)], unread, dropped)


def _bug(error: Exception) -> str:
    return f"a bug in the format, please report it: {error!r}"
