"""Correction of due times at a start, in case the machine's clock was set since the last process began."""

from __future__ import annotations

from relay.storage.session import Session

SAME = 2.0
"""Seconds of difference that are ignored."""
RECENT = 86_400.0
"""Seconds for which an ended incident or group may begin again, so that its times still matter."""


def turn_back(session: Session, now: float) -> None:
    """Shift all due times from the last process's own clock to this one's.

    `now` is this process's clock in Unix seconds. It starts at the machine's time. The last process's clock may differ
    from the machine's, so both clocks are on record. If the machine's time is before the record, someone set it back
    after the stop. The length of the stop is then unknown, so it counts as zero. A clock that was set forward after the
    stop looks like a long stop. Alerts that it makes due are posted at the start.
    """
    latest, noted_at, noted_wall = session.run("clocks.latest").fetchone()
    note_time(session, [(now, now)])
    noted_at, noted_wall = (latest, latest) if noted_at is None else (noted_at, noted_wall)
    later = max(0.0, latest - noted_at)  # what happened after the note
    by = now - (noted_at + later + max(0.0, now - (noted_wall + later)))
    if abs(by) <= SAME:
        return
    values = {"by": by, "now": now, "recent": latest - RECENT}
    for name in ("incidents", "groups", "alerts", "silences", "deliveries"):
        session.run(f"clocks.shift_{name}", values)


def note_time(session: Session, times: list[tuple[float, float]]) -> list[None]:
    """Record the time of the relay's own clock and of the machine's, in Unix seconds."""
    now, wall = times[-1]
    session.run("clocks.note_time", {"now": round(now), "wall": round(wall)})
    return [None] * len(times)
