"""A client of Alertmanager, strict as karma's, sees every annotation, link and state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import structs

from relay.core.fingerprint import fingerprint
from relay.sandbox.server import Sandbox
from tests.fakes.alertmanager_client import Alert, Client
from tests.fakes.running import Running, running, settled
from tests.fakes.silences import within

SOURCES = {"prometheus": {"type": "alertmanager-api"}, "lab": {"type": "webhook"}, "graf": {"type": "webhook"}}
SOURCES["graf"]["format"] = "grafana"
SOURCES["am"] = {"type": "webhook", "format": "alertmanager"}
ROUTE = {
    "rooms": ["noc"],
    "routes": [
        {"matchers": ['team="db"'], "rooms": ["dba"], "group_by": ["site"], "group_wait": "0s", "continue": True},
        {"matchers": ['team="db"'], "rooms": ["noc"]},
        {"matchers": ['team="office"'], "rooms": ["dba"], "mute_time_intervals": ["always"]},
        {"matchers": ['team="shift"'], "rooms": ["dba"], "active_time_intervals": ["never"]},
        {"matchers": ['team="nobody"'], "rooms": []},
    ],
}
ROOMS = {name: {"account": "webex", "title": name, "create": True} for name in ("noc", "dba")}
HELD = {
    "rooms": ROOMS,
    "sources": SOURCES,
    "route": ROUTE,
    "time_intervals": [
        {"name": "always", "time_intervals": [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]},
        {"name": "never", "time_intervals": [{"years": ["1999"]}]},
    ],
    "inhibit_rules": [
        {"source_matchers": ['alertname="SiteDown"'], "target_matchers": ['alertname="Slow"'], "equal": ["site"]}
    ],
}
NOTES = {
    "summary": "Replica r3 lags",
    "description": "It is 900 s behind.\nWrites queue up.",
    "runbook_url": "https://wiki.example.org/lag",
    "dashboard": "https://graphs.example.org/d/7",
}
GRAPH = "https://prometheus.example.org/graph?g0.expr=lag"


def posted(name: str, *, notes: dict[str, str] | None = None, graph: str = "", **labels: str) -> dict[str, Any]:
    """An alert as Prometheus posts it."""
    about = {"alertname": name, **labels}
    return {"labels": about, "annotations": notes or {}, "generatorURL": graph, "endsAt": within(300)}


async def by_name(client: Client) -> dict[str, Alert]:
    return {one.labels["alertname"]: one for one in await client.alerts()}


def times_of(one: Alert) -> tuple[datetime, ...]:
    return one.startsAt, one.updatedAt, one.endsAt


def without_times(one: Alert) -> Alert:
    begin = datetime.fromtimestamp(0, UTC)
    return structs.replace(one, startsAt=begin, updatedAt=begin, endsAt=begin)


async def send(relay: Running, *alerts: dict[str, Any]) -> None:
    assert (await relay.post(list(alerts), "/api/v2/alerts"))[0] == 200
    await settled(relay)


async def test_all_annotations_and_links_are_shown_also_after_a_restart(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, **HELD) as relay:
        await send(relay, posted("Lag", notes=NOTES, graph=GRAPH, team="db", site="a", severity="page"))
        await send(relay, posted("Null", notes=NOTES, graph=GRAPH, team="nobody"))
        before = await by_name(Client(relay))
    async with running(tmp_path, sandbox, **HELD) as relay:
        client = Client(relay)
        shown = await by_name(client)
        assert shown.keys() == before.keys()
        for name, one in shown.items():
            assert without_times(one) == without_times(before[name])
            for now, then in zip(times_of(one), times_of(before[name]), strict=True):
                assert abs(now - then) < timedelta(seconds=1)  # the relay's own clock begins anew at a start
        assert {one.annotations == NOTES and one.generatorURL == GRAPH for one in shown.values()} == {True}
        assert shown["Lag"].labels["severity"] == "critical"
        assert shown["Lag"].fingerprint == fingerprint(shown["Lag"].labels)
        assert [one.name for one in shown["Lag"].receivers] == ["dba", "noc"]
        assert [one.name for one in shown["Null"].receivers] == ["(nobody)"]
        await send(relay, posted("Lag", team="db", site="a", severity="page"))
        assert (await by_name(client))["Lag"].annotations == NOTES  # what an update does not say is unchanged


async def test_alerts_of_other_formats_show_their_text_and_links(tmp_path: Path, sandbox: Sandbox) -> None:
    links = [
        {"text": "Camera 7", "url": "https://c.example.org/7"},
        {"text": "Runbook", "url": "https://r.example.org"},
    ]
    native = {"title": "Gate open", "status": "firing", "key": "gate", "body": "since 02:10", "links": links}
    am = {"status": "firing", "labels": {"alertname": "A"}, "annotations": NOTES, "generatorURL": GRAPH}
    panel = {"panelURL": "https://g.example.org/p", "generatorURL": "https://g.example.org/r"}
    grafana = {"status": "firing", "labels": {"alertname": "G"}, "annotations": {"summary": "s", "note": "n"}, **panel}
    async with running(tmp_path, sandbox, **HELD) as relay:
        await relay.post([native, {**native, "key": "gate-2"}])
        await relay.post({"alerts": [am]}, "/hooks/am")
        await relay.post({"alerts": [grafana]}, "/hooks/graf")
        await settled(relay)
        shown = {one.labels.get("key") or one.labels["alertname"]: one for one in await Client(relay).alerts()}
        assert (shown["A"].annotations, shown["A"].generatorURL) == (NOTES, GRAPH)
        assert shown["G"].annotations == {"summary": "s", "note": "n", "rule_url": panel["generatorURL"]}
        assert shown["gate"].annotations == {
            "summary": "Gate open",
            "description": "since 02:10",
            "runbook_url": "https://r.example.org",
        }
        assert shown["gate"].generatorURL == "https://c.example.org/7"
        assert shown["gate"].fingerprint != shown["gate-2"].fingerprint


async def test_what_holds_an_alert_back_is_named(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, **HELD) as relay:
        client = Client(relay)
        await send(relay, posted("SiteDown", site="a"), posted("Slow", site="a"), posted("Free", site="b"))
        await send(relay, posted("Office", team="office"), posted("Shift", team="shift"), posted("Gone", site="c"))
        matcher = {"name": "site", "value": "c", "isRegex": False, "isEqual": True}
        window = {"startsAt": within(0), "endsAt": within(3_600)}
        made = await client.post_silence(matchers=[matcher], createdBy="anna", comment="change 4711", **window)
        shown = await by_name(client)
        states = {
            name: (one.status.silencedBy, one.status.inhibitedBy, one.status.mutedBy) for name, one in shown.items()
        }
        assert states == {
            "SiteDown": ([], [], []),
            "Free": ([], [], []),
            "Slow": ([], [shown["SiteDown"].fingerprint], []),
            "Gone": ([made], [], []),
            "Office": ([], [], ["always"]),
            "Shift": ([], [], ["never"]),
        }
        assert all((one.status.state == "active") == (states[name] == ([], [], [])) for name, one in shown.items())
        (silence,) = await client.silences()
        assert (silence.id, silence.status.state, silence.createdBy) == (made, "active", "anna")
        grouped = {one.labels["alertname"] for group in await client.groups(muted="false") for one in group.alerts}
        assert grouped == {"SiteDown", "Free", "Slow", "Gone"}


async def test_a_downtime_of_the_source_is_a_state_too(tmp_path: Path, sandbox: Sandbox) -> None:
    disk = {"host": "pier-db", "service": "disk", "state": 2, "state_type": 1, "check_result": {"output": "97%"}}
    downtime = {"host_name": "pier-db", "service_name": "disk", "author": "ida", "comment": "new disk"}
    async with running(tmp_path, sandbox, sources={"icinga": {"type": "webhook", "format": "icinga2"}}) as relay:
        await relay.post({**disk, "type": "StateChange", "downtime_depth": 1}, "/hooks/icinga")
        await relay.post({**disk, "host": "pier-gw", "type": "StateChange", "downtime_depth": 0}, "/hooks/icinga")
        await settled(relay)
        client = Client(relay)
        states = {one.labels["host"]: one.status for one in await client.alerts()}
        assert (states["pier-db"].state, states["pier-db"].mutedBy) == ("suppressed", ["downtime"])
        assert (states["pier-gw"].state, states["pier-gw"].mutedBy) == ("active", [])
        await relay.post({"type": "DowntimeRemoved", "downtime": downtime}, "/hooks/icinga")
        await settled(relay)
        assert {one.status.state for one in await client.alerts()} == {"active"}


async def test_groups_are_those_of_the_routes(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, **HELD) as relay:
        client = Client(relay)
        await send(relay, *(posted(f"Lag{n}", team="db", site="ab"[n % 2]) for n in range(4)), posted("Free"))
        found = [
            (group.receiver.name, group.labels.get("site", ""), sorted(one.labels["alertname"] for one in group.alerts))
            for group in await client.groups()
        ]
        assert sorted(found) == [
            ("dba", "a", ["Lag0", "Lag2"]),
            ("dba", "b", ["Lag1", "Lag3"]),
            ("noc", "", ["Free"]),
            ("noc", "", ["Lag0", "Lag1", "Lag2", "Lag3"]),
        ]
        assert {group.receiver.name for group in await client.groups(receiver="dba")} == {"dba"}
        assert await client.receivers() == ["noc", "dba", "(nobody)"]


async def test_a_client_of_the_wrong_version_or_address_is_told_where_to_go(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, **HELD) as relay:
        for method, path in (("GET", "alerts"), ("POST", "alerts"), ("GET", "alerts/groups"), ("GET", "receivers")):
            async with relay.session.request(method, f"{relay.admin}/api/v1/{path}", json=[]) as answer:
                assert answer.status == 404
                assert "/api/v2" in (await answer.json())["error"]["message"]
        async with relay.session.post(relay.admin + "/api/v2/alerts", json=[]) as answer:
            assert (answer.status, "listen.events" in await answer.json()) == (400, True)
        for method, path, hint in (
            ("POST", "/api/v1/alerts", "post to /api/v2/alerts"),
            ("POST", "/prometheus/api/v1/alerts", "post to /api/v2/alerts"),
            ("POST", "/elsewhere/api/v2/alerts", "type alertmanager-api"),
            ("GET", "/api/v2/status", "listen.admin"),
            ("GET", "/api/v2/alerts", "listen.admin"),
        ):
            async with relay.session.request(method, relay.events + path, json=[]) as answer:
                assert answer.status == (405 if path == "/api/v2/alerts" else 404)
                assert hint in (await answer.json())["error"]["message"]


async def test_the_status_says_which_alertmanager_is_spoken(tmp_path: Path, sandbox: Sandbox) -> None:
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0"}
    async with running(tmp_path, sandbox, **HELD) as relay:
        status = await Client(relay).status()
        assert (status.versionInfo.version, status.cluster.peers) == ("0.25.0", [])
        assert yaml.safe_load(status.config.original)["route"]["receiver"] == "noc"
        await relay.reload(**HELD, listen={**listen, "alertmanager_version": "0.28.1"})
        assert (await Client(relay).status()).versionInfo.version == "0.28.1"


TWINS = [
    {"title": "one", "status": "firing", "key": "k1", "labels": {"alertname": "Twin", "empty": ""}},
    {"title": "two", "status": "firing", "key": "k2", "labels": {"alertname": "Twin", "key": "own", "status": "500"}},
]
LEVELS = ("error", "high")


async def test_labels_tell_all_alerts_apart_and_a_silence_of_them_holds_that_alert(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    async with running(tmp_path, sandbox, sources=SOURCES) as relay:
        assert (await relay.post(TWINS))[0] == 202
        await send(relay, *(posted("Errors", status="500", severity=level) for level in LEVELS))
        client = Client(relay)
        shown = await client.alerts()
        assert len({one.fingerprint for one in shown}) == len(shown) == 4
        assert all(value for one in shown for value in one.labels.values())
        for one in shown:
            matchers = [
                {"name": name, "value": value, "isRegex": False, "isEqual": None} for name, value in one.labels.items()
            ]
            times = {"startsAt": within(0), "endsAt": within(60)}
            silence = await client.post_silence(matchers=matchers, createdBy="anna", comment="c", **times)
            held = {alert.fingerprint for alert in await client.alerts() if silence in alert.status.silencedBy}
            assert held == {one.fingerprint}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("receiver=[", "failed to parse receiver param: expected a regular expression of RE2; found '['"),
        ("filter=word", "bad matcher format: expected a matcher"),
    ],
)
async def test_a_filter_that_can_not_be_read_is_refused_as_alertmanager_does(
    relay: Running, query: str, said: str
) -> None:
    for path in ("alerts", "alerts/groups"):
        status, answer = await relay.get(f"/api/v2/{path}?{query}")
        assert (status, answer[: len(said)]) == (400, said)


@pytest.mark.parametrize(
    ("word", "count"), [("false", 0), ("0", 0), ("no", 0), ("maybe", 0), ("", 1), ("true", 1), ("T", 1), ("1", 1)]
)
async def test_a_word_for_true_is_one_of_alertmanagers(relay: Running, word: str, count: int) -> None:
    assert (await relay.post({"title": "t", "status": "firing", "key": "k"}))[0] == 202
    await settled(relay)
    assert len((await relay.get(f"/api/v2/alerts?active={word}"))[1]) == count
