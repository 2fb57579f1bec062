"""The demo's script: incidents of an invented network, second by second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from relay.core.words import iso
from relay.sandbox.state import Fault

Channel = Literal["prometheus", "cameras", "lines", "fabric", "faults"]
LENGTH = 16.0
"""Seconds of one run of the script."""


class Scene(msgspec.Struct, frozen=True):
    """Something that happens `at` seconds into the script. `says` describes it to the viewer, if it is not empty."""

    at: float
    channel: Channel
    says: str
    payload: Any


def script(turn: int, now: float) -> list[Scene]:
    """Return the scenes of one run, in order of time.

    `turn` keeps the keys of runs apart. `now` is the time of the run in Unix seconds, for the times of its events.
    """
    return sorted(_scenes(turn, now), key=lambda scene: scene.at)


def _scenes(turn: int, now: float) -> Iterator[Scene]:
    node, leaf, tunnel = f"api-{3 + turn}", f"node-{101 + turn}", f"tunnel to fra{1 + turn}"
    yield Scene(0.0, "prometheus", "a host goes down", _group("firing", "NodeDown", node, "critical", now))
    port = f"topology/pod-1/{leaf}/sys/phys-[eth1/1]/phys/fault-F0532"
    down = {"code": "F0532", "cause": "port-down", "severity": "critical", "lc": "raised", "descr": "usage: infra"}
    yield Scene(0.6, "fabric", "a port of the ACI fabric goes down", [("faultInst", port, down)])
    reports = [
        {"site": "ams1", "what": "door open at night", "level": 2},
        {"site": "fra2", "what": "lens dirty", "level": 3},
    ]
    yield Scene(1.2, "cameras", "two cameras report", {"events": reports})
    for change in range(6):
        up = change % 2 == 1
        event = _fault(f"{tunnel} is down", "major", tunnel, "resolved" if up else "firing")
        yield Scene(2.0 + change * 0.25, "lines", "a tunnel flaps" if change == 0 else "", [event])
    outage = Fault(status=503, method="*", service="webex")
    yield Scene(4.0, "faults", "Webex stops answering: urgent messages go to Spika, the others wait", [outage])
    for second in range(3):
        lost = _fault(f"BGP session to edge-{second + 1} lost", "major", f"bgp-{turn}-{second}")
        yield Scene(4.3 + second, "lines", "", [lost])
    yield Scene(7.5, "faults", "Webex answers again", [])
    yield Scene(8.0, "faults", "Webex becomes slow", [Fault(latency=0.6, room="Core network", count=2)])
    yield Scene(8.1, "lines", "", [_fault(f"CRC errors on {leaf} eth1/2", "minor", f"{leaf}/2")])
    throttle = Fault(status=429, retry_after="1", count=2)
    yield Scene(9.5, "faults", "Webex asks to slow down (429, Retry-After: 1)", [throttle])
    storm = [
        _fault(f"endpoint {number} unreachable", "critical" if number % 20 == 0 else "minor", f"storm-{turn}-{number}")
        for number in range(60)
    ]
    yield Scene(9.6, "lines", "a storm: 60 faults at once become a digest", storm)
    yield Scene(13.0, "prometheus", "the host is back", _group("resolved", "NodeDown", node, "critical", now))
    tenant = ("fvTenant", f"uni/tn-shop-{turn}", {"name": f"shop-{turn}", "descr": "made by the demo"})
    yield Scene(3.2, "fabric", "somebody makes a tenant", [tenant])
    over = ("faultInst", port, {"severity": "cleared", "lc": "retaining"})
    yield Scene(13.5, "fabric", "the port is back", [over])
    sessions = [_fault("", "info", f"bgp-{turn}-{second}", "resolved") for second in range(3)]
    yield Scene(14.0, "lines", "the sessions are back", sessions)


def _fault(title: str, severity: str, key: str, status: str = "firing") -> dict[str, Any]:
    event: dict[str, Any] = {"title": title, "status": status, "key": key, "labels": {"pod": "pod-1"}}
    return event if status == "resolved" else {**event, "severity": severity}


def _group(status: str, name: str, instance: str, severity: str, now: float) -> dict[str, Any]:
    alert = {
        "status": status,
        "labels": {"alertname": name, "instance": instance, "severity": severity, "site": "ams1"},
        "annotations": {
            "summary": f"{instance} does not answer",
            "runbook_url": "https://runbooks.example.net/node-down",
        },
        "startsAt": iso(now - 60),
        "endsAt": iso(now) if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "https://prometheus.example.net/graph?g0.expr=up",
        "fingerprint": f"{name}-{instance}",
    }
    return {
        "version": "4",
        "groupKey": "{}",
        "status": status,
        "receiver": "relay",
        "externalURL": "",
        "alerts": [alert],
    }
