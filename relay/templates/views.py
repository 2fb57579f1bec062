"""Views, the variables that templates see: of an event or one incident, of a group, and of a digest."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Literal

import msgspec

from relay.core.delivery import MOST_LINES, Digest, DigestLine, IncidentView, Summary
from relay.core.event import SEVERITIES, Event, Link
from relay.core.markdown import Markdown, escape_markdown, file_name, link, middle, one_line
from relay.core.naming import common_title, differences, names_of, shared, telling
from relay.core.phrases import ACKNOWLEDGED, ENDS, HOLD, LATE_AFTER, SIGNS, SILENCED, WITHIN_A_BREATH, flaps
from relay.core.words import say_clock, say_duration

MOST_DIGEST_BYTES = 6_500
"""Bytes of a digest for the names of its events. The rest of Webex's limit is for the lines above them."""
BODY_LINES = 6
LINE_LENGTH = 400
MOST_LINKS = 3
MOST_COMMON = 4
"""Labels that a group's first line has."""
THREAD = "\f"
"""A sign that sends the text after it into the message's thread. Text of an event can't hold it."""
_THREAD = Markdown(THREAD)
_SEPARATOR = Markdown(" · ")
LONGEST_LINK = 300
"""Characters of the longest address that stands in a group's list."""


class Labels(dict[str, str]):
    """An event's labels as templates see them. A label that is absent reads as empty."""

    def __missing__(self, name: str) -> str:
        return ""


class View(msgspec.Struct, frozen=True):
    """The variables about an event or one incident. Texts are plain, except those of the type `Markdown`."""

    event: Event
    room: str
    incident: IncidentView | None
    now: float
    zone: tzinfo
    behind: float = 0.0
    """Seconds since the message was due."""

    def parts(self) -> dict[str, object]:
        """Return the variables of the built-in message."""
        body, rest = self._body()
        return {
            "sign": Markdown(self.sign),
            "word": self.word,
            "title": self.title,
            "lasted": self.lasted,
            "facts": self.facts,
            "body": body,
            "rest": rest,
            "done": one_line(self.event.done),
            "links": self.links,
            "thread": _THREAD,
        }

    def names(self) -> dict[str, object]:
        """Return all variables, for operators' templates."""
        event = self.event
        return {
            **self.parts(),
            "event": event,
            "room": self.room,
            "labels": Labels(event.labels),
            "annotations": Labels(event.annotations),
            "source": event.source,
            "status": event.status,
            "severity": event.severity,
            "key": event.key,
            "late": self.late,
            "since": say_clock(self.started_at, self.now, self.zone),
            "at": say_clock(event.occurred_at, self.now, self.zone),
        }

    @property
    def end(self) -> Literal["resolved", "expired"] | None:
        """Return how the incident ended, or None if it fires or flaps."""
        if self.incident is not None:
            return self.incident.state if self.incident.over and self.incident.state != "firing" else None
        return "resolved" if self.event.status == "resolved" else None

    @property
    def sign(self) -> str:
        """Return the one sign of the first line."""
        if self.silenced:
            return SILENCED
        return SIGNS[self.event.severity] if self.end is None else ENDS[self.end]

    @property
    def word(self) -> str:
        """Return the severity or the end as a word, because colour alone leaves out people who can't see it."""
        return self.end or ("silenced" if self.silenced else self.event.severity.upper())

    @property
    def silenced(self) -> bool:
        """Return whether a silence suppresses the incident."""
        return self.incident is not None and self.incident.silenced

    @property
    def title(self) -> str:
        """Return the title in one line. For a flapping alert, add how often it changed."""
        title = one_line(self.event.title)
        return f"{title} {flaps(self.incident.changes)}" if self.incident is not None and self.incident.quiet else title

    @property
    def started_at(self) -> float:
        """Return the Unix seconds at which the event's alert began."""
        return (
            self.event.occurred_at if self.incident is None else min(self.incident.started_at, self.event.occurred_at)
        )

    @property
    def lasted(self) -> str:
        """Return how long an ended alert lasted, or an empty text if it is not known."""
        seconds = self.event.occurred_at - self.started_at
        return say_duration(seconds) if self.end is not None and seconds >= WITHIN_A_BREATH else ""

    @property
    def late(self) -> str:
        """Return how late the message is posted, or an empty text if it is in time."""
        return say_late(self.behind)

    @property
    def facts(self) -> Markdown:
        """Return the second line: the source, the labels that distinguish the alert, and the time since it began."""
        parts = [self.event.source, *telling(self.event.labels, self.event.title), self._when()]
        if self.end is not None and self.event.severity_given:
            parts.append(f"was {self.event.severity.upper()}")
        elif self.silenced:
            parts.append(self.event.severity.upper())
        if self.incident is not None and self.incident.ack is not None:
            parts.append(f"{ACKNOWLEDGED} {one_line(self.incident.ack.by, 60)}")
            parts += [one_line(self.incident.ack.comment, 80)] if self.incident.ack.comment else []
        parts += posted_late(self.behind)
        return Markdown(" · ".join([escape_markdown(part) for part in parts]))

    def _when(self) -> str:
        event = self.event
        if self.incident is not None and self.incident.quiet:
            return f"quiet until it holds for {say_duration(HOLD)}"
        at = say_clock(event.occurred_at, self.now, self.zone)
        if event.status == "firing":
            return f"since {say_clock(self.started_at, self.now, self.zone)}"
        if self.lasted:
            began = say_clock(self.started_at, self.now, self.zone)
            return at if began == at else f"{began.rsplit(' ', 1)[0]}–{at}"
        return at

    def _body(self) -> tuple[str, str]:
        return first_lines(self.event.body)

    @property
    def links(self) -> Markdown:
        """Return the first three links by name. Files come after links."""
        return _SEPARATOR.join(links_of(self.event.links, self.event.files)[:MOST_LINKS])


def say_late(behind: float) -> str:
    """Return how late a message is that was due so many seconds ago, or an empty text if it is in time."""
    return say_duration(behind) if behind >= LATE_AFTER else ""


def posted_late(behind: float) -> list[str]:
    """Return the last part of a line of facts: that the message is posted late, if it is."""
    return [f"posted {late} late"] if (late := say_late(behind)) else []


def first_lines(body: str) -> tuple[str, str]:
    """Return a body's first lines, and the text for the thread: all of it if a line was cut, else the rest."""
    text = body.strip()
    lines = [line.rstrip() for line in text.split("\n")] if text else []
    shown = [middle(line, LINE_LENGTH) for line in lines[:BODY_LINES]]
    if shown != lines[:BODY_LINES]:
        return "\n".join(shown), text
    return "\n".join(shown), "\n".join(lines[BODY_LINES:]).strip("\n")


def links_of(links: Iterable[Link], files: Iterable[str]) -> list[Markdown]:
    """Return an event's links by name, and behind them its files."""
    shown = [link(item.text, item.url) for item in links]
    addresses = (address for address in files if address.startswith(("http://", "https://")))
    return shown + [link(file_name(address), address) for address in addresses]


class GroupView(msgspec.Struct, frozen=True):
    """The variables about a group of incidents."""

    summary: Summary
    room: str
    now: float
    zone: tzinfo
    behind: float = 0.0

    def parts(self) -> dict[str, object]:
        """Return the variables of the built-in message."""
        return {
            "sign": Markdown(self.sign),
            "word": self.word,
            "facts": self.facts,
            "about": self.about,
            "firing": self.summary.firing,
            "ended": self.summary.ended,
            "thread": _THREAD,
            "incidents": self._incidents(),
            "more": self._more,
            "body": self._body(),
            "links": _SEPARATOR.join(self._links()[:MOST_LINKS]),
        }

    def names(self) -> dict[str, object]:
        """Return all variables, for operators' templates."""
        since = say_clock(self.summary.started_at, self.now, self.zone)
        labels = Labels(self.summary.labels)
        return {
            **self.parts(),
            "room": self.room,
            "labels": labels,
            "since": since,
            "severity": self.worst.event.severity,
        }

    @property
    def worst(self) -> IncidentView:
        """Return the worst of the firing incidents, or of all if none fires."""
        return self.summary.incidents[0]

    @property
    def sign(self) -> str:
        """Return the one sign of the first line."""
        if self.summary.firing:
            return SILENCED if self._silenced else SIGNS[self.worst.event.severity]
        return ENDS["expired" if all(one.state == "expired" for one in self.summary.incidents) else "resolved"]

    @property
    def word(self) -> str:
        """Return in words how many incidents fire, and how many ended."""
        firing, ended = self.summary.firing, self.summary.ended
        if not firing:
            return f"all {ended} {'expired' if self.sign == ENDS['expired'] else 'resolved'}"
        return f"{firing} firing" + (f", {ended} ended" if ended else "")

    @property
    def about(self) -> Markdown:
        """Return the first line after the counts: the problem and the labels that all share, and the worst severity."""
        summary = self.summary
        parts = [title] if (title := self._title) else []
        parts += ["all silenced"] if self._silenced else []
        parts += [f"worst {self.worst.event.severity.upper()}"] if summary.firing else []
        parts += [f"{one_line(name, 40)} {one_line(value, 60)}" for name, value in self._common()[:MOST_COMMON]]
        if not summary.firing:
            lasted = (summary.ended_at or self.now) - summary.started_at
            parts += [f"lasted {say_duration(lasted)}"] if lasted >= WITHIN_A_BREATH else []
        return Markdown(" · ".join([escape_markdown(part) for part in parts]))

    @property
    def facts(self) -> Markdown:
        """Return the second line: the sources, the time of the first incident, and the time of this message."""
        sources = list(dict.fromkeys(one.event.source for one in self.summary.incidents))[:3]
        since = say_clock(self.summary.started_at, self.now, self.zone)
        changed = say_clock(self.now, self.now, self.zone).partition(" ")[0]
        parts = (*sources, f"since {since}", f"changed {changed}", *posted_late(self.behind))
        return Markdown(" · ".join([escape_markdown(part) for part in parts]))

    @property
    def _more(self) -> int:
        """Return how many incidents the list does not name."""
        return self.summary.count - len(self.summary.incidents)

    @property
    def _silenced(self) -> bool:
        """Return whether a silence suppresses all incidents that fire."""
        found = [one for one in self._all() if not one.over]
        return bool(found) and all(one.silenced for one in found)

    def _all(self) -> list[IncidentView]:
        """Return all incidents, or none if there are too many to look at."""
        found = [*self.summary.incidents, *self.summary.unnamed]
        return found if len(found) == self.summary.count else []

    def _open(self) -> list[Event]:
        """Return the events of the incidents that the message is about: of those that fire, or of all if none does."""
        found = self._all()
        return [one.event for one in found if not one.over] or [one.event for one in found]

    @property
    def _title(self) -> str:
        """Return the problem that the open incidents have in common, or an empty text."""
        return common_title(found) if (found := self._open()) else ""

    def _common(self) -> list[tuple[str, str]]:
        """Return the labels that all incidents share: the group's first, then others that the title lacks."""
        found = {name: value for name, value in self.summary.labels.items() if name != "source" and value}
        if every := [one.event.labels for one in self._all()]:
            title = self._title.lower()
            others = shared(every).items()
            found |= {name: value for name, value in others if name not in found and value.lower() not in title}
        return list(found.items())

    def _body(self) -> str:
        """Return the first lines of the body that the open incidents have in common, or an empty text."""
        bodies = {event.body.strip() for event in self._open()}
        return first_lines(bodies.pop())[0] if len(bodies) == 1 else ""

    def _links(self) -> list[Markdown]:
        """Return the links that the open incidents have in common."""
        first, *others = dict.fromkeys((event.links, event.files) for event in self._open()) or [((), ())]
        links = [one for one in first[0] if all(one in links for links, _ in others)]
        return links_of(links, [one for one in first[1] if all(one in files for _, files in others)])

    def _incidents(self) -> list[dict[str, object]]:
        common, title, named = self._links(), self._title, self.summary.incidents
        return [
            self._incident(one, values, common, titled=one_line(one.event.title) != title)
            for one, values in zip(named, differences([one.event for one in named]), strict=True)
        ]

    def _incident(
        self, one: IncidentView, values: list[str], common: list[Markdown], *, titled: bool
    ) -> dict[str, object]:
        view = View(one.event, self.room, one, self.now, self.zone)
        lasted = view.lasted
        over = f"lasted {lasted}" if lasted else "ended"
        own = (
            item
            for item in links_of(one.event.links, one.event.files)
            if item not in common and len(item) <= LONGEST_LINK
        )
        parts = (
            [view.title, *values] if titled or not values else [*values, *([flaps(one.changes)] if one.quiet else [])]
        )
        return {
            "sign": Markdown(view.sign),
            "title": view.title,
            "name": " · ".join(parts),
            "link": next(own, ""),
            "severity": one.event.severity,
            "source": one.event.source,
            "labels": Labels(one.event.labels),
            "done": one_line(one.event.done, 80),
            "acknowledged": "" if one.ack is None else one_line(one.ack.by, 60),
            "lasts": over if one.over else say_duration(self.now - one.started_at),
        }


class DigestView(msgspec.Struct, frozen=True):
    """The variables about a storm, for its digest."""

    summary: Summary
    digest: Digest
    now: float
    zone: tzinfo
    behind: float = 0.0
    sign: str = "🌊"

    def parts(self) -> dict[str, object]:
        """Return the variables of the built-in message."""
        lines = self._lines()
        return {
            "sign": Markdown(self.sign),
            "word": self.word,
            "counted": self.counted,
            "facts": self.facts,
            "lines": lines,
            "more": self.total - len(lines),
        }

    names = parts

    @property
    def total(self) -> int:
        """Return how many events the digest counts."""
        return sum(count for _, _, count in self.digest.counts)

    @property
    def word(self) -> str:
        """Return whether the storm is over, in words."""
        return "Storm over" if self.digest.over else "Storm"

    @property
    def counted(self) -> Markdown:
        """Return the counts: of events and their time span, by severity, and of those that still fire."""
        took = self.digest.seen_at - self.digest.began_at
        parts = [f"{self.total:,} events" + (f" in {say_duration(took)}" if took >= WITHIN_A_BREATH else "")]
        for rank, severity in enumerate(SEVERITIES):
            if count := sum(n for r, _, n in self.digest.counts if r == rank):
                parts.append(f"{count:,} {severity.upper()}")
        if self.summary.ended:
            parts.append(f"{self.summary.firing:,} still firing" if self.summary.firing else "all have ended")
        return Markdown(" · ".join([escape_markdown(part) for part in parts]))

    @property
    def facts(self) -> Markdown:
        """Return the second line: the counts by source, the time of the begin, and the place of the full list."""
        by: dict[str, int] = {}
        for _, source, count in self.digest.counts:
            by[source] = by.get(source, 0) + count
        largest = sorted(by.items(), key=lambda pair: -pair[1])[:5]
        parts = [f"{source} {count:,}" for source, count in largest]
        parts.append(f"since {say_clock(self.digest.began_at, self.now, self.zone)}")
        parts.append("the full list is in this thread" if self.digest.over else "the full list follows when it is over")
        parts += posted_late(self.behind)
        return Markdown(" · ".join([escape_markdown(part) for part in parts]))

    def _lines(self) -> list[dict[str, object]]:
        """Return the worst events by name: all critical ones that fit, then others until there are `MOST_LINES`."""
        shown: list[dict[str, object]] = []
        room = MOST_DIGEST_BYTES
        names = names_of([line.event for line in self.digest.lines])
        for line, name in zip(self.digest.lines, names, strict=True):
            if line.rank > 0 and len(shown) >= MOST_LINES:
                break
            title = one_line(name, 160)
            room -= len(escape_markdown(title).encode()) + 10
            if room < 0:
                break
            sign = ENDS[line.state] if line.state in ("resolved", "expired") else SIGNS[line.event.severity]
            shown.append({"sign": Markdown(sign), "title": title})
        return shown


def list_line(line: DigestLine, zone: tzinfo) -> str:
    """Return a line of a digest's full list: time, severity, state, source, title and key, between tabs."""
    at = datetime.fromtimestamp(line.started_at, zone).isoformat(timespec="seconds")
    event = line.event
    cells = (at, event.severity.upper(), line.state, event.source, event.title, event.key)
    return "\t".join(one_line(cell, 1_000) for cell in cells)
