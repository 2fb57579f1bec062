"""Downtimes and withdrawn acknowledgements as vendors tell of them, through the whole relay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relay.sandbox.server import Sandbox
from tests.fakes.running import running, top

SOURCES = {
    "icinga": {"type": "webhook", "format": "icinga2"},
    "nagios": {"type": "webhook", "map": "nagios"},
    "house": {"type": "webhook", "format": "home-assistant"},
}
DISK = {"host": "pier-db", "service": "disk", "state": 2, "state_type": 1, "check_result": {"output": "97%"}}
DOWNTIME = {"host_name": "pier-db", "service_name": "disk", "author": "ida", "comment": "new disk", "trigger_time": 5}


def change(state: int, depth: int) -> dict[str, Any]:
    return {**DISK, "type": "StateChange", "state": state, "downtime_depth": depth}


async def test_a_problem_that_outlives_its_downtime_is_told_once_when_that_ends(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    async with running(tmp_path, sandbox, sources=SOURCES) as relay:
        for payload in (
            {"type": "DowntimeStarted", "downtime": DOWNTIME},
            change(2, 1),
            {"type": "CommentAdded", "comment": {"host_name": "pier-db", "service_name": "disk", "text": "…"}},
            {**change(1, 0), "host": "pier-gw"},
        ):
            await relay.post(payload, "/hooks/icinga")
        await relay.until(lambda: len(relay.messages()) == 1)
        assert "pier-gw" in relay.messages()[0].text, "the one in the downtime waits"
        await relay.post({"type": "DowntimeRemoved", "downtime": DOWNTIME}, "/hooks/icinga")
        await relay.until(lambda: len(relay.messages()) == 2)
        assert "disk on pier-db is CRITICAL" in relay.messages()[1].text
        problem = {**DISK, "type": "Notification", "notification_type": "PROBLEM"}
        await relay.post(problem, "/hooks/icinga")
        await relay.post(change(0, 0), "/hooks/icinga")
        await relay.until(lambda: "resolved" in relay.messages()[1].text)
        assert ["disk on pier-db is OK" in one.text for one in top(relay)] == [False, True], "titled by what is now"


async def test_a_problem_that_ends_within_its_downtime_is_told_to_nobody(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources=SOURCES) as relay:
        for payload in (change(2, 1), change(0, 1), {"type": "DowntimeRemoved", "downtime": DOWNTIME}):
            await relay.post(payload, "/hooks/icinga")
        await relay.post({**change(1, 0), "host": "pier-gw"}, "/hooks/icinga")
        await relay.until(lambda: len(relay.messages()) >= 1)
        assert ["pier-gw" in one.text for one in relay.messages()] == [True]


async def test_nagios_ends_what_recovered_in_a_downtime(tmp_path: Path, sandbox: Sandbox) -> None:
    disk = {"HOSTNAME": "pier-db", "SERVICEDESC": "disk", "SERVICESTATE": "CRITICAL", "SERVICEOUTPUT": "97% used"}
    async with running(tmp_path, sandbox, sources=SOURCES) as relay:
        await relay.post({**disk, "NOTIFICATIONTYPE": "PROBLEM"}, "/hooks/nagios")
        await relay.until(lambda: len(relay.messages()) == 1)
        await relay.post({**disk, "NOTIFICATIONTYPE": "DOWNTIMESTART"}, "/hooks/nagios")
        await relay.post({**disk, "NOTIFICATIONTYPE": "DOWNTIMEEND", "SERVICESTATE": "OK"}, "/hooks/nagios")
        await relay.until(lambda: "resolved" in relay.messages()[0].text)
        assert not [one for one in relay.messages() if "DOWNTIME" in one.text]


async def test_an_acknowledgement_that_icinga_clears_leaves_the_message(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources=SOURCES) as relay:
        await relay.post(change(2, 0), "/hooks/icinga")
        await relay.until(lambda: len(relay.messages()) == 1)
        about = {"host": "pier-db", "service": "disk"}
        await relay.post({**about, "type": "AcknowledgementSet", "author": "ida"}, "/hooks/icinga")
        await relay.until(lambda: "ida" in relay.messages()[0].text)
        await relay.post({**about, "type": "AcknowledgementCleared"}, "/hooks/icinga")
        await relay.until(lambda: "ida" not in relay.messages()[0].text)


async def test_an_alarm_that_began_while_its_entity_was_away_is_told_and_ended(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    def frame(was: str, now: str) -> dict[str, Any]:
        data = {
            "entity_id": "binary_sensor.cellar",
            "old_state": {"state": was},
            "new_state": {"state": now, "attributes": {"device_class": "smoke"}},
        }
        return {"type": "event", "event": {"event_type": "state_changed", "data": data}}

    async with running(tmp_path, sandbox, sources=SOURCES) as relay:
        for was, now in (("off", "unavailable"), ("unavailable", "on")):
            await relay.post(frame(was, now), "/hooks/house")
        await relay.until(lambda: any("smoke: on" in one.text for one in relay.messages()))
        for was, now in (("on", "unknown"), ("unknown", "off")):
            await relay.post(frame(was, now), "/hooks/house")
        await relay.until(lambda: all("resolved" in one.text for one in top(relay)))
        assert sum("smoke: off" in one.text for one in top(relay)) == 1
