from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from relay.cli import deliveries, incidents, silence
from relay.cli.common import print_table
from relay.cli.tables import table_lines

AT = "2026-03-01T02:03:04.567Z"
SHOWN = "2026-03-01T02:03:04Z"
LONG = "Pod checkout-7d9f of the shop is crash looping and nobody has looked at it since the night began"
SILENCE = {"state": "active", "matchers": ['alertname="KubePodCrashLooping"', 'site=~"ams|fra"'], "starts_at": AT}
SILENCE |= {"ends_at": AT.replace("02", "04"), "created_by": "anna@noc-desk-01.example.net", "comment": LONG}
INCIDENT = {"id": 4711, "room": "noc-amsterdam", "held": None, "state": "firing", "severity": "critical", "title": LONG}
INCIDENT |= {"undelivered": None, "flapping": False, "name": LONG}
INCIDENT |= {"source": "prometheus-ams", "started_at": AT, "acknowledged_by": "anna@noc-desk-01.example.net"}
DELIVERY = {
    "id": 123456,
    "room": "noc-amsterdam",
    "set_aside": True,
    "due_at": AT,
    "state": "waiting",
    "action": "edit",
}
DELIVERY |= {"attempts": 12, "created_at": AT, "event_id": "019d8c4e2f0a1b2c3d4e5f60", "reason": "network"}
DELIVERY |= {"last_error": LONG}


class Terminal(io.StringIO):
    """Standard output as a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def show(what: str) -> None:
    ids = [f"{number:08x}-7388-4a5e-b66f-6ba78e0f7492" for number in (1, 2)]
    found = [{**SILENCE, "id": one} for one in ids]
    if what == "silences":
        print_table(silence.COLUMNS, [silence.row(one, found) for one in found], "none")
    elif what == "incidents":
        print_table(incidents.COLUMNS, [incidents.row(INCIDENT)], "none")
    else:
        deliveries.print_deliveries([DELIVERY])


@pytest.mark.parametrize(("what", "dates"), [("silences", 4), ("incidents", 1), ("deliveries", 2)])
def test_at_80_columns_dates_are_whole_and_nothing_is_cut(
    what: str, dates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    show(what)
    lines = terminal.getvalue().splitlines()
    text = "\n".join(lines)
    assert max(map(cell_len, lines)) <= 80
    assert text.count("T02:03:04Z") + text.count("T04:03:04Z") == dates
    assert "…" not in text
    if what == "silences":
        assert lines[0] == "id        state   from                  until"


def test_without_a_terminal_lines_have_tabs_and_all_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    show("silences")
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first == "ID\tSTATE\tMATCHERS\tFROM\tUNTIL\tBY\tCOMMENT"
    assert second.startswith("00000001-7388-4a5e-b66f-6ba78e0f7492\tactive\t")
    assert AT in second


@pytest.mark.parametrize(
    ("given", "whole"),
    [("3d", "3d4ac67d"), ("3d4ac67d", "3d4ac67d"), ("77", "77aa"), ("77aa", "77aa"), ("9", "9"), ("", "")],
)
def test_the_beginning_of_an_id_names_a_silence(given: str, whole: str) -> None:
    states = {"3d4ac67d": "active", "77aa": "pending", "77ab": "expired", "88aa": "active", "88ab": "active"}
    known = [{"id": one, "state": state} for one, state in states.items()]
    assert silence.whole_id(given, known) == whole


def test_a_beginning_that_several_silences_share_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    known = [{"id": f"88a{n}", "state": "active"} for n in range(9)]
    with pytest.raises(Exception, match="2"):
        silence.whole_id("88", known)
    assert "9 silences begin with '88': 88a0, 88a1, 88a2, 88a3, 88a4 and 4 more; give more" in capsys.readouterr().err


@given(
    st.lists(st.lists(st.text(st.characters(exclude_categories=["C"])), min_size=3, max_size=3), min_size=1),
    st.integers(20, 200),
)
def test_a_table_holds_every_word_of_every_cell_at_any_width(rows: list[list[str]], width: int) -> None:
    text = " ".join(table_lines(["id", "since", "title"], rows, width))
    for row in rows:
        for cell in row:
            assert all(word in text for word in cell.split())


def test_cells_that_do_not_fit_stand_below_their_row() -> None:
    assert table_lines(["id", "since", "title"], [["1", AT, "a b c d e f g h i j k"], ["22", AT, "日本"]], 32) == [
        "id  since",
        f"1   {SHOWN}",
        "    title  a b c d e f g h i j k",
        f"22  {SHOWN}",
        "    title  日本",
    ]
    assert table_lines(["id", "title", "state"], [["1", "日本", "x"], ["2", "", "y"]], 32) == [
        "id  title  state",
        "1   日本   x",
        "2          y",
    ]
