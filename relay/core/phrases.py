"""All sentences for rooms that no template makes: replies in a thread, last edits, notes.

Pure, and all of it Markdown. Texts from outside (titles, names, errors) are escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from relay.core.event import Severity
from relay.core.markdown import escape_markdown, hard_breaks, one_line
from relay.core.words import say_duration

SIGNS: dict[Severity, str] = {"critical": "🔴", "major": "🟠", "minor": "🟡", "warning": "🔵", "info": "⚪"}
ENDS: dict[str, str] = {"resolved": "✅", "expired": "⌛"}
SILENCED = "🔕"
ACKNOWLEDGED = "👤"
MOVED = "⏩"
WITHIN_A_BREATH = 1.0
"""Seconds below which a sentence leaves out how long something lasted."""
HOLD = 600.0
"""Seconds without a change after which an incident no longer flaps."""
MOST_NAMES = 5
"""Titles that one line names."""
MOST_LINES = 20
"""Titles that a list names, each on a line of its own."""
ALL_OF_STORM_ENDED = "✅ all of the storm's alerts have ended"
LATE_AFTER = 120.0
"""Seconds after which a message or a reply says that it is posted late."""
ROOM_IS_BACK = "↩ **the room is back**"

Ended = Literal["resolved", "expired"]


def severity_word(severity: Severity) -> str:
    """Return a severity with its sign, such as `🔴 **CRITICAL**`."""
    return f"{SIGNS[severity]} **{severity.upper()}**"


# One incident


def ended(state: Ended, lasted: float) -> str:
    """Say that an incident is over; `lasted` in seconds."""
    said = f"{ENDS[state]} {state}{_after(lasted)}"
    return said + (": its source has said nothing of it any more" if state == "expired" else "")


def flapping(changes: Sequence[float]) -> str:
    """Say how often an incident changed (Unix seconds of its changes), and that its message rests until it holds."""
    return f"{flaps(changes)}; quiet until it holds for {say_duration(HOLD)}"


def flaps(changes: Sequence[float]) -> str:
    """Say how often an incident changed; `changes` in Unix seconds."""
    took = changes[-1] - changes[0]
    return f"flapping: {len(changes)} changes" + (f" in {say_duration(took)}" if took >= WITHIN_A_BREATH else "")


def flaps_no_more(severity: Severity, end: Ended | None) -> str:
    """Say that an incident no longer flaps, and whether it fires or how it ended."""
    if end is None:
        return f"{severity_word(severity)} · fires for {say_duration(HOLD)} now, and flaps no more"
    return f"{ENDS[end]} {end}, and flaps no more for {say_duration(HOLD)}"


def fires_again(severity: Severity, down: float) -> str:
    """Say that an incident was reopened, `down` seconds after its end."""
    after = f", {say_duration(down)} after its end" if down >= WITHIN_A_BREATH else ""
    return f"{severity_word(severity)} again{after}"


def still_firing(severity: Severity, lasted: float) -> str:
    """Say, as a reminder, that an incident still fires after so many seconds."""
    return f"{severity_word(severity)} · still firing after {say_duration(lasted)}"


def silence_is_over(severity: Severity) -> str:
    """Say that an incident outlived its silence."""
    return f"{severity_word(severity)} · its silence is over, and it still fires"


def was_held_back(severity: Severity) -> str:
    """Say that an incident worsened while it was held back."""
    return f"{severity_word(severity)} · was held back, and still fires"


def worsened(severity: Severity, before: Severity) -> str:
    """Say that an incident worsened, and from what."""
    return f"{severity_word(severity)} · was {before.upper()}"


def late(sentence: str, behind: float) -> str:
    """Add to a reply that it comes so many seconds late."""
    return f"{sentence} · posted {say_duration(behind)} late"


def with_title(sentence: str | None, title: str) -> str | None:
    """Return a sentence with the title that it is about, for a message outside of any thread."""
    named = escape_markdown(one_line(title))
    return sentence if sentence is None or named in sentence else f"{sentence} · {named}"


# Several incidents of one message. Titles come worst first


def several_alarm(severity: Severity, titles: Sequence[str]) -> str:
    """Name the incidents that became critical, or that fire after they were held back."""
    return f"{severity_word(severity)} · {_names(titles)}"


def several_still_fire(severity: Severity, titles: Sequence[str], lasted: float) -> str:
    """Say, as a reminder, how many incidents still fire; the first of them has `lasted` so many seconds."""
    since = say_duration(lasted)
    return f"{SIGNS[severity]} **{len(titles)} still firing** · the first for {since} · {_names(titles)}"


def all_ended(state: Ended, count: int, longest: float) -> str:
    """Say that all incidents of a message are over; the `longest` took so many seconds."""
    last = f", the last after {say_duration(longest)}" if longest >= WITHIN_A_BREATH else ""
    return f"{ENDS[state]} all {count} {state}{last}"


def several_firing(severity: Severity, count: int) -> str:
    """Say how many incidents of a message fire, and how bad the worst is."""
    return f"{SIGNS[severity]} **{count} firing** · worst {severity.upper()}"


def in_short(head: str, labels: Mapping[str, str], lines: Sequence[tuple[str, str]]) -> str:
    """Return a list of the news (signs and titles) below a head that names the labels that all share."""
    common = [f"{name} {value}" for name, value in labels.items() if name != "source" and value]
    first = " · ".join([head, *(escape_markdown(one_line(text, 80)) for text in common[:3])])
    shown = [f"- {sign} {escape_markdown(one_line(title, 160))}" for sign, title in lines[:MOST_LINES]]
    more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return hard_breaks("\n".join([first, *shown, *more]))


def _names(titles: Sequence[str]) -> str:
    named = [escape_markdown(one_line(title, 80)) for title in titles[:MOST_NAMES]]
    more = len(titles) - len(named)
    return " · ".join(named) + (f" · and {more} more" if more > 0 else "")


# Messages that another one replaces


def continued(title: str) -> str:
    """Return the last text of a message that a newer one in its room replaces."""
    return f"{MOVED} **continued** · {escape_markdown(one_line(title))} · a newer message tells of it"


def continued_in(room: str | None) -> str:
    """Return the last text of a message that goes on in another room, or (None) in a newer message of its own."""
    return f"{MOVED} **continued** in {'a newer message' if room is None else f'room {escape_markdown(room)}'}"


def goes_on_in(room: str | None) -> str:
    """Return the last line of a message that goes on in another room, or (None) in a newer message. Plain text."""
    return "goes on in " + ("a newer message" if room is None else f"room {room}")


def meant_for(room: str) -> str:
    """Return the last line of a message that stands in the fallback of a room. Plain text."""
    return f"for room {room}"


def room_is_back(room: str, moved: int, began: str, *, to: str | None) -> str:
    """Say that a room can be reached again: in the room itself, with its fallback `to`, or (None) in its fallback.

    `moved` counts the messages that the fallback got. `began` is the time of day of the first.
    """
    count, stay = (f"{moved:,} message", "stays") if moved == 1 else (f"{moved:,} messages", "stay")
    if to is not None:
        said = f"could not be reached from {began} on; {count} went to room {to} and {stay} there"
        return f"↩ **this room is back** · {escape_markdown(said)}"
    said = f"{count} for it came here from {began} on, and {stay}"
    return f"↩ **room {escape_markdown(room)} is back** · {escape_markdown(said)}"


# Storms and files


def storm_is_over(lasted: float, *, attached: bool) -> str:
    """Say that a storm is over after so many seconds, and where its full list is."""
    return f"🌊 **Storm over**{_after(lasted)} · the full list {'is attached' if attached else 'follows'}"


def file_is_missing(name: str, why: str) -> str:
    """Say that a file can't be shown, and why."""
    return f"📎 {escape_markdown(name)} is not here: {escape_markdown(why)}"


def file_is_not_shown(name: str) -> str:
    """Return the remark about a file that the message's service can't show. Plain text."""
    return f"not shown here: {name}"


def _after(seconds: float) -> str:
    return f" after {say_duration(seconds)}" if seconds >= WITHIN_A_BREATH else ""
