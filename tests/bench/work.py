"""The two kinds of work that the benchmark measures: small native events, and alerts as Alertmanager sends them."""

from __future__ import annotations

import json
from typing import Any

ROOMS = 20
SITES = ("ams1", "fra2", "lon3", "par1")
KINDS = ("native", "alertmanager")
"""The kinds of events that a subject is measured with. Beside them are `mixed` and `large`, see `body`."""
POSTED = ("labels", "annotations", "startsAt", "generatorURL")
"""The fields of an alert that is posted to Alertmanager's API v2. It makes the others itself."""
DOWN = "The device has not answered for five minutes, and its neighbours have lost their sessions with it."
WHAT_TO_DO = "Look at the power of the rack first, then at the uplink; call the site if both are well."


LIFE = 300
"""Alerts of `mixed` that fire one after the other; then so many updates follow, then so many ends."""
LARGE = 60_000
"""Characters in the text of a large event."""


def native(number: int) -> dict[str, Any]:
    """Return a small event in the relay's own JSON: a title, three labels and a line of text."""
    return {
        "title": f"link down on port {number}",
        "severity": "major",
        "body": "Physical interface is down",
        "labels": {"room": f"r{number % ROOMS}", "site": "ams1", "device": f"node-{number % 500}"},
    }


def large(number: int) -> dict[str, Any]:
    """Return an event with as long a text as the relay keeps, for nobody."""
    return {"title": f"report {number}", "body": "x" * LARGE, "labels": {"room": "nobody"}}


def mixed(number: int, teams: int) -> dict[str, Any]:
    """Return one step in the life of an alert: it fires, changes, or ends."""
    round_, place = divmod(number, LIFE)
    lives, step = divmod(round_, 3)
    one = alert(lives * LIFE + place, teams)
    one["annotations"]["description"] += ("", " The site has been called.", "")[step]
    return {**one, "status": "resolved", "endsAt": "2026-03-01T02:20:00.000Z"} if step == 2 else one


def alert(number: int, teams: int = ROOMS) -> dict[str, Any]:
    """Return an alert as Alertmanager has it: ten labels, two annotations, two sentences of text, and a link."""
    site = SITES[number % len(SITES)]
    instance = f"node-{number}.{site}.example.net:9100"
    return {
        "status": "firing",
        "labels": {
            "alertname": "DeviceUnreachable",
            "severity": "critical",
            "instance": instance,
            "job": "node",
            "site": site,
            "rack": f"rack-{number % 40}",
            "team": f"team-{number % teams}",
            "environment": "production",
            "role": "leaf",
            "cluster": f"{site}-fabric-{number % 3}",
        },
        "annotations": {"summary": f"{instance} does not answer", "description": f"{DOWN} {WHAT_TO_DO}"},
        "startsAt": "2026-03-01T02:10:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://prometheus.example.net/graph?g0.expr=up%7Bjob%3D%22node%22%7D+%3D%3D+0&g0.tab=1",
        "fingerprint": f"{number:016x}",
    }


def webhook(alerts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return alerts as the body of Alertmanager's webhook, version 4 (its documentation, `webhook_config`)."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="DeviceUnreachable"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "relay",
        "groupLabels": {"alertname": "DeviceUnreachable"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "https://alertmanager.example.net",
        "alerts": alerts,
    }


def body(kind: str, first: int, batch: int, to: str = "relay", teams: int = ROOMS, *, marked: bool = False) -> bytes:
    """Return the body of a request with `batch` events of a kind, numbered from `first`, as a subject takes them.

    `native` and `large` are events in the relay's own JSON, `alertmanager` alerts of so many teams. Those of `mixed`
    are updated and end. `marked`: the text of each event has a mark with its number, by which the sink knows it.
    """
    numbers = range(first, first + batch)
    if kind in ("native", "large"):
        events = [native(number) if kind == "native" else large(number) for number in numbers]
        if marked:
            events = [{**event, "title": mark(number)} for number, event in zip(numbers, events, strict=True)]
        return json.dumps(events if batch > 1 else events[0]).encode()
    alerts = [mixed(number, teams) if kind == "mixed" else alert(number, teams) for number in numbers]
    if marked:
        for number, one in zip(numbers, alerts, strict=True):
            one["annotations"]["summary"] += f" {mark(number)}"
    if to == "alertmanager":
        return json.dumps([{name: one[name] for name in POSTED} for one in alerts]).encode()
    return json.dumps(webhook(alerts)).encode()


def mark(number: int) -> str:
    return f"mark-{number:07}"


def route(kind: str, room: int) -> dict[str, Any]:
    """Return the route of a room: by an equal label, or by a regular expression as Alertmanager's users write them."""
    return {"matchers": [matcher_of(kind, room)], "rooms": [f"r{room}"]}


def matcher_of(kind: str, number: int) -> str:
    return f'room="r{number}"' if kind == "native" else f'team=~"team-{number}|squad-{number}"'
