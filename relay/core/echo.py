"""Echoes: events that repeat a message which the relay has just sent, and sources that answer themselves with them.

A message is known by a run of its words that its event does not have, such as the severity before the title. An alert
that comes again and again lacks that run; a copy of the message has it. An event that repeats a message has come one
round further than that message's event. After a few rounds its source is braked: its echoes are no longer posted, its
other events are.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Set

import msgspec

from relay.core.event import Event, is_about_alert
from relay.core.markdown import plain_text

ROUNDS = 3
"""Rounds after which a source counts as answering itself. Fewer may be a person's quote, and a quote of that."""
MEMORY = 2_000
"""Messages that are remembered."""
MEMORY_SECONDS = 900.0
"""Seconds for which a message is remembered. It is long, as a bridge may poll."""
QUIET = 300.0
"""Seconds without an echo after which a source is released."""
RUN = 6
"""Words in a row by which a message is known; all of its words if it is shorter."""
FEW = 32
"""First words that the search pattern holds at most. They are mostly the severities."""
_LOOKED_AT = 300
"""Characters of a message, a title and a body that are compared."""
_WORD = re.compile(r"\w+")
_OPENING = re.compile(r"[^\w\n]*(\w+)" + r"(?:[^\w\n]+(\w+)" * (RUN - 1) + ")?" * (RUN - 1))
"""The first `RUN` words of a text's first line, found in one step however long the text is."""

Run = str
"""Words in a row, in lower case, with a blank between them."""


class Sent(msgspec.Struct, frozen=True):
    """A message that was sent: when, in Unix seconds, and how many rounds its event had come."""

    at: float
    rounds: int


class Echoes:
    """Remembers sent messages, and finds events that repeat them. Its memory and its time per event are bounded."""

    def __init__(self) -> None:
        self._sent: OrderedDict[Run, Sent] = OrderedDict()
        self._rounds: OrderedDict[str, int] = OrderedDict()
        self._firsts: Counter[str] = Counter()
        self._look_for(self._firsts)
        self._braked: dict[str, float] = {}

    def sent(self, event: Event, markdown: str, now: float) -> None:
        """Remember a message that is about to be sent of an event."""
        run = _run_of_message(markdown[:_LOOKED_AT], _text_of(event))
        if run is None:
            return
        known = len(self._firsts)
        if self._sent.pop(run, None) is None:
            self._firsts[_first_of(run)] += 1
        self._sent[run] = Sent(now, self._rounds.get(event.id, 0))  # at the end: the oldest is forgotten first
        if len(self._sent) > MEMORY:
            first = _first_of(self._sent.popitem(last=False)[0])
            self._firsts[first] -= 1
            if not self._firsts[first]:
                del self._firsts[first]
                known = -1
        if len(self._firsts) != known:
            self._look_for(self._firsts)

    def _look_for(self, firsts: Iterable[str]) -> None:
        """Make the search pattern of the first words. More than `FEW` make one that matches any text."""
        words = [] if len(self._firsts) > FEW else [re.escape(first) for first in firsts]
        self._first_words = re.compile("|".join(words))

    def holds(self, event: Event, now: float) -> bool:
        """Return whether an event is an echo that must not be posted. An echo that shows a loop brakes its source."""
        if event.status == "resolved" or not self._sent:
            return False
        text = _text_of(event)
        if self._first_words.search(text) is None:
            return False  # most events end here: it costs them half a microsecond
        rounds = self._rounds_in(text, now)
        if rounds == 0 or is_about_alert(event):
            return False
        self._rounds[event.id] = rounds
        if len(self._rounds) > MEMORY:
            self._rounds.popitem(last=False)
        if rounds < ROUNDS and event.source not in self._braked:
            return False
        self._braked[event.source] = now
        return True

    def brake(self, source: str, now: float) -> None:
        """Hold back a source's echoes from now on."""
        self._braked[source] = now

    @property
    def braked(self) -> Set[str]:
        """Return the sources that answer themselves."""
        return self._braked.keys()

    def release(self, now: float) -> list[str]:
        """Release the sources that sent no echo for `QUIET` seconds, and return them."""
        over = [source for source, at in self._braked.items() if now - at >= QUIET]
        for source in over:
            del self._braked[source]
        return over

    def _rounds_in(self, text: str, now: float) -> int:
        """Return how many rounds an event has come, by its text; 0 if it repeats nothing."""
        words, found = _words(text), 0
        for start in [start for start, word in enumerate(words) if word in self._firsts]:
            for end in range(start + 1, min(start + RUN, len(words)) + 1):
                sent = self._sent.get(" ".join(words[start:end]))
                if sent is not None and now - sent.at <= MEMORY_SECONDS:
                    found = max(found, sent.rounds + 1)
        return found


def _text_of(event: Event) -> str:
    body = event.body
    return (
        f"{event.title[:_LOOKED_AT]}\n{body[:_LOOKED_AT]}".casefold() if body else event.title[:_LOOKED_AT].casefold()
    )


def _first_of(run: Run) -> str:
    return run[: run.find(" ")] if " " in run else run


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _run_of_message(markdown: str, own: str) -> Run | None:
    opening = _OPENING.match(plain_text(markdown.partition("\n")[0]))
    if opening is not None and opening[1].casefold() not in own:  # nearly always: the severity
        return " ".join(opening.groups("")).rstrip().casefold()
    text = plain_text(markdown).casefold()
    return _run_of(_words(text.partition("\n")[0]), _words(own)) or _run_of(_words(text), _words(own))


def _run_of(message: list[str], own: list[str]) -> Run | None:
    """Return the first run of a message's words that its event does not have, or None if it has them all."""
    length = min(RUN, len(message))
    there = {" ".join(own[start : start + length]) for start in range(len(own) - length + 1)}
    runs = (" ".join(message[start : start + length]) for start in range(len(message) - length + 1))
    return next((run for run in runs if run and run not in there), None)
