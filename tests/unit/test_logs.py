from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from relay.logs import LEVELS, make_log, with_priority

LINES = ("debug", "info", "notice", "warning", "error")


def written(file: Path, level: str) -> list[str]:
    """The lines of a log at a level, to which a line of each level was written."""
    with file.open("w", encoding="utf-8") as stream:
        log = make_log(level, stream)
        for name in LINES:
            getattr(log, name)(name, value="a\nb")
        logging.getLogger("a.library").warning("careful")
        logging.getLogger().handlers.clear()
    return file.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_prints_itself_and_what_is_worse(tmp_path: Path, level: str) -> None:
    shown = [json.loads(line) for line in written(tmp_path / "log", level)]
    expected = list(LINES[LINES.index(level) :])
    assert [line["event"] for line in shown if "logger" not in line] == expected
    assert all(line["level"] == line["event"] for line in shown if "logger" not in line)


def test_under_the_journal_each_line_begins_with_its_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "log"
    file.touch()
    found = file.stat()
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    lines = written(file, "debug")
    assert [line[:3] for line in lines] == ["<7>", "<6>", "<5>", "<4>", "<3>", "<4>"]
    assert [json.loads(line[3:])["level"] for line in lines] == [*LINES, "warning"]


def test_a_stream_that_is_not_the_journal_gets_no_priorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is inherited by processes whose output goes elsewhere."""
    found = tmp_path.stat()
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    assert all(line.startswith("{") for line in written(tmp_path / "log", "debug"))


def test_each_line_of_a_text_gets_the_priority() -> None:
    assert with_priority("error", "one\ntwo") == "<3>one\n<3>two"


def test_only_lines_of_requests_and_messages_are_written_at_info() -> None:
    """A change of state at info would not be shown by default: it is a notice."""
    code = "".join(file.read_text(encoding="utf-8") for file in Path("relay").rglob("*.py"))
    found = re.findall(r"\blog\.info\(\s*\"(\w+)\"|_log\.info\(\s*\"(\w+)\"", code)
    assert {one or other for one, other in found} == {"request_accepted", "request_repeated", "message_sent"}
    assert len(re.findall(r"log\.info\b", code)) == len(found)
