"""Ends that meet their beginnings: of each format the vendor's pairs, kept in `tests/golden/formats/*/pairs.yaml`.

A pair is told by its payloads: `begins`, and what is written over it where it is told `again`, is without data
(`between`), is acknowledged (`taken`, `withdrawn`), is in a downtime (`held`, `released`), and `ends`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from relay.core.event import Draft
from relay.formats import FORMATS, Format, Request
from relay.formats.apic import fold
from relay.formats.contract import Unrecognised
from tests.fakes.readers import GOLDEN, NOW, READERS

WITHOUT_AN_END = {
    "relay": "the sender's own keys",
    "map": "the operator's own expressions",
    "netbox": "changes of objects",
    "splunk": "no end is sent; it expires",
    "webex": "news of messages and rooms",
    "map-certstream": "certificates that were issued",
    "map-graylog": "no end is sent; it expires",
    "map-kubernetes": "no end is sent; it expires",
    "map-papertrail": "lines of logs",
    "map-wazuh": "no end is sent",
}
"""Formats without pairs, and why."""


class Pair:
    """A pair of a format's file."""

    def __init__(self, name: str, file: dict[str, Any], pair: dict[str, Any]) -> None:
        self.format, self.name, self.pair = READERS[name], f"{name}: {pair['name']}", pair
        self.headers = {**file.get("headers", {}), **pair.get("headers", {})}
        self.begins = over(file.get("all", {}), pair["begins"])

    def read(self, step: str) -> list[Draft]:
        """Return the drafts of a step."""
        return self._drafts(self.begins if step == "begins" else over(self.begins, self.pair[step]))

    def between(self) -> list[Draft]:
        return [draft for one in self.pair["between"] for draft in self._drafts(over(self.begins, one))]

    def _drafts(self, payload: Any) -> list[Draft]:
        found = self.format.read(Request(payload=payload, source="s", headers=self.headers, received_at=NOW))
        assert all(isinstance(one, Draft) for one in found), found
        return [one for one in found if isinstance(one, Draft)]


def over(below: Any, above: Any) -> Any:
    """Write a payload over another: objects are merged, anything else is replaced, `absent` is taken away."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    merged = {**below, **{name: over(below.get(name), value) for name, value in above.items()}}
    return {name: value for name, value in merged.items() if value != "absent"}


def pairs() -> Iterator[Pair]:
    for file in sorted(GOLDEN.glob("*/pairs.yaml")):
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        yield from (Pair(file.parent.name, found, pair) for pair in found["pairs"])


def keys(drafts: Iterable[Draft], status: str) -> set[str | None]:
    return {draft.key for draft in drafts if draft.status == status}


def open_after(*told: list[Draft]) -> set[str | None]:
    """Return the keys of alerts that are open after these drafts."""
    found: set[str | None] = set()
    for draft in [draft for drafts in told for draft in drafts]:
        if draft.status == "firing":
            found.add(draft.key)
        elif draft.status == "resolved":
            found.discard(draft.key)
    return found


PAIRS = list(pairs())


def with_step(step: str) -> list[Any]:
    return [pytest.param(pair, id=pair.name.replace(" ", "-")) for pair in PAIRS if step in pair.pair]


@pytest.mark.parametrize("pair", with_step("ends"))
def test_an_end_finds_its_beginning(pair: Pair) -> None:
    begun = pair.read("begins")
    assert keys(begun, "firing"), begun
    assert None not in keys(begun, "firing")
    ended = pair.read("ends")
    assert not keys(ended, "firing")
    assert not open_after(begun, ended), (begun, ended)


TROUBLE = re.compile(
    r"critical|warning|unknown|down|unreach\w*|fail\w*|error\w*|problem|alerting|firing|triggered|unavailable|lost"
    r"|withdrawn|outage|broken|expires|invalid|no data",
    re.IGNORECASE,
)
"""Words of a state that is over when an alert has ended."""


def now_said(title: str) -> str:
    """A title without the state that a change came from, as in `Down ended (now: Up)`, `outage end`, `CRIT -> OK`."""
    return re.sub(r"\w+ ended \(now: |\w+ end\b|\S+ -> ", "", title)


@pytest.mark.parametrize("pair", with_step("ends"))
def test_an_end_is_not_titled_by_the_state_that_is_over(pair: Pair) -> None:
    begun = {word.lower() for draft in pair.read("begins") for word in TROUBLE.findall(draft.title)}
    for draft in pair.read("ends"):
        said = (
            {word.lower() for word in TROUBLE.findall(now_said(draft.title))} if draft.status == "resolved" else set()
        )
        assert not said & begun or draft.title in STATELESS, (pair.name, draft.title)


STATELESS = {draft.title for pair in PAIRS for draft in pair.read("begins")} & {
    draft.title for pair in PAIRS if "ends" in pair.pair for draft in pair.read("ends")
}
"""Titles of problems that the vendor names alike at the end, as `Disk failure: db-1`: a name, not a state."""


@pytest.mark.parametrize("pair", with_step("taken") + with_step("withdrawn"))
def test_an_acknowledgement_says_what_it_is_and_who_gave_it(pair: Pair) -> None:
    told = [draft for step in ("taken", "withdrawn") if step in pair.pair for draft in pair.read(step)]
    for draft in told:
        who = draft.acknowledged_by or draft.unacknowledged_by
        if who is not None:
            assert re.search("acknowledge", draft.title, re.IGNORECASE), draft.title
            assert draft.title.endswith(who) or pair.format is READERS["map-prtg"], draft.title


@pytest.mark.parametrize("pair", with_step("again"))
def test_trouble_that_is_told_again_later_and_worse_has_the_same_key(pair: Pair) -> None:
    begun, again = pair.read("begins"), pair.read("again")
    assert pair.pair["again"]
    assert keys(again, "firing") == keys(begun, "firing")
    assert not open_after(begun, again, pair.read("ends"))


@pytest.mark.parametrize("pair", with_step("between"))
def test_no_data_between_leaves_nothing_open_and_hides_nothing(pair: Pair) -> None:
    begun, between, ended = pair.read("begins"), pair.between(), pair.read("ends")
    assert keys(begun, "firing") <= open_after(begun, between)
    assert keys(begun, "firing") <= open_after(between, begun)
    assert not open_after(begun, between, ended)
    assert not open_after(between, ended)


@pytest.mark.parametrize(
    ("step", "field", "value"),
    [
        ("taken", "acknowledged_by", str),
        ("withdrawn", "unacknowledged_by", str),
        ("held", "downtime", True),
        ("released", "downtime", False),
    ],
)
def test_what_is_said_about_an_alert_finds_it_by_its_key(step: str, field: str, value: Any) -> None:
    found = [pair for pair in PAIRS if step in pair.pair]
    assert found
    for pair in found:
        drafts = [draft for draft in pair.read(step) if draft.status == "notice" or step == "held"]
        about = [draft for draft in drafts if getattr(draft, field) is not None]
        assert {draft.key for draft in about} == keys(pair.read("begins"), "firing"), pair.name
        assert all(
            isinstance(getattr(draft, field), value) if value is str else getattr(draft, field) is value
            for draft in about
        ), pair.name


def test_every_format_lists_its_pairs_or_why_it_has_none() -> None:
    listed = {file.parent.name for file in GOLDEN.glob("*/pairs.yaml")}
    assert listed | set(WITHOUT_AN_END) == set(READERS)
    assert not listed & set(WITHOUT_AN_END)
    assert all({"ends", "again"} & set(pair.pair) for pair in PAIRS)


STATES = st.lists(st.sampled_from(["on", "off", "unavailable", "unknown", ""]), max_size=12)
"""States of an entity; the empty one is an entity that was removed."""


def frame(entity: str, device_class: str, was: str, now: str) -> dict[str, Any]:
    """Return a frame of Home Assistant that tells of a state's change."""
    old, new = (
        {"state": state, "attributes": {"device_class": device_class}} if state else None for state in (was, now)
    )
    data = {"entity_id": entity, "old_state": old, "new_state": new}
    return {"id": 1, "type": "event", "event": {"event_type": "state_changed", "data": data}}


def read(format_: Format, payload: Any) -> list[Draft]:
    found = format_.read(Request(payload=payload, source="s", received_at=NOW))
    return [one for one in found if isinstance(one, Draft)]


@given(
    states=STATES,
    kind=st.sampled_from([("smoke", "on"), ("connectivity", "off")]),
    first=st.sampled_from(["on", "off"]),
)
def test_home_assistant_has_open_what_its_last_states_say(states: list[str], kind: tuple[str, str], first: str) -> None:
    """An alarm is open if the last state that was one is bad; its availability, if it is away now; both end with it."""
    device_class, bad = kind
    told: list[list[Draft]] = []
    was = ""
    for now in (first, *states):
        told.append(read(FORMATS["home-assistant"], frame("binary_sensor.x", device_class, was, now)))
        was = now
    alarm = False
    for now in (first, *states):
        alarm = alarm if now in ("unavailable", "unknown") else now == bad
    expected = {
        name
        for name, there in (
            ("binary_sensor.x", alarm),
            ("binary_sensor.x/available", was in ("unavailable", "unknown")),
        )
        if there
    }
    assert open_after(*told) == expected


@given(states=st.lists(st.sampled_from(["idle", "on", "off", "unavailable", "unknown", ""]), max_size=12))
def test_an_alert_of_home_assistant_is_open_while_its_last_state_fires(states: list[str]) -> None:
    told, was, fires = [], "", False
    for now in states:
        told.append(read(FORMATS["home-assistant"], frame("alert.x", "", was, now)))
        fires = fires if now in ("unavailable", "unknown") else now in ("on", "off")
        was = now
    away = was in ("unavailable", "unknown")
    assert open_after(*told) == {*(["alert.x"] if fires else []), *(["alert.x/available"] if away else [])}


def test_golden_folders_hold_no_other_yaml() -> None:
    assert {file.name for file in Path(GOLDEN).glob("*/*.yaml")} == {"pairs.yaml"}


def test_apic_tells_that_an_acknowledgement_was_set_and_withdrawn() -> None:
    fault = {"dn": "topology/pod-2/fault-F1394", "severity": "major", "lc": "raised"}
    now, begun = fold(None, "faultInst", {**fault, "ack": "no", "status": "created"})
    now, taken = fold(now, "faultInst", {"dn": fault["dn"], "ack": "yes", "status": "modified"})
    now, withdrawn = fold(now, "faultInst", {"dn": fault["dn"], "ack": "no", "status": "modified"})
    assert [draft.status for draft in begun] == ["firing"]
    assert [(draft.key, draft.acknowledged_by) for draft in taken] == [(fault["dn"], "APIC")]
    assert [(draft.key, draft.unacknowledged_by) for draft in withdrawn] == [(fault["dn"], "APIC")]


ICINGA: list[tuple[str, dict[str, Any], bool]] = [
    *((kind, {"comment": {"host_name": "pier-db", "text": "x"}}, False) for kind in ("CommentAdded", "CommentRemoved")),
    *((kind, {"object_type": "Host"}, False) for kind in ("ObjectCreated", "ObjectModified", "ObjectDeleted")),
    *(
        (kind, {"downtime": {"host_name": "pier-db", "fixed": True}}, kind != "DowntimeAdded")
        for kind in ("DowntimeAdded", "DowntimeRemoved", "DowntimeStarted", "DowntimeTriggered")
    ),
    *(
        (kind, {"host": "pier-db", "state": 1, "state_type": 1, "notification_type": "CUSTOM"}, kind != "CheckResult")
        for kind in ("CheckResult", "StateChange", "Notification", "Flapping")
    ),
    *((kind, {"host": "pier-db", "comment": "x"}, True) for kind in ("AcknowledgementSet", "AcknowledgementCleared")),
]
"""All types of Icinga's event stream, what each says, and whether that is an event."""


@pytest.mark.parametrize(("kind", "content", "tells"), ICINGA)
def test_every_type_of_icingas_event_stream_is_known(kind: str, content: dict[str, Any], tells: bool) -> None:
    drafts = read(FORMATS["icinga2"], {"type": kind, "timestamp": 1772330400.5, **content})
    assert bool(drafts) is tells
    assert not any(isinstance(one, Unrecognised) for one in drafts)
