"""An operator's template costs no alert, however much work it would be; a relay that runs, beside a sandbox."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from relay.sandbox.server import Sandbox
from tests.fakes.hostile import HOSTILE
from tests.fakes.running import Running, running

KINDS = (
    "loops",
    "loops over labels",
    "macro calls itself twice",
    "recursive loop",
    "values in a set block",
    "power",
    "multiplied text",
    "doubled text",
    "doubled and compared",
    "percent width",
    "format width",
    "center",
    "sort",
    "folded",
)
PROMPTLY = 5.0
"""Seconds on a machine that may be busy with other tests; a template without a bound takes minutes."""
pytestmark = pytest.mark.no_cover  # measuring coverage takes most of those seconds
LARGE: dict[str, Any] = {"body": "<@all> line *a*\n" * 3_600, "labels": {f"label{n}": "u" * 2_000 for n in range(90)}}


def room(title: str, **more: Any) -> dict[str, Any]:
    return {"account": "webex", "title": title, "create": True, "digest_over": 10_000, **more}


def only_for(number: int, name: str) -> dict[str, Any]:
    return {"matchers": [f'n="{number}"'], "rooms": [name]}


def alert(title: str, n: object) -> dict[str, Any]:
    return {**LARGE, "title": title, "labels": {**LARGE["labels"], "n": str(n)}}


async def posted_promptly(relay: Running, title: str) -> None:
    now = asyncio.get_running_loop().time
    began = now()
    assert (await relay.post({"title": title}))[0] == 202
    await relay.until(lambda: any(title in one.text for one in relay.messages("OK")))
    assert now() - began < PROMPTLY
    assert (await relay.get("/healthz"))[0] == 200


async def test_whatever_a_template_does_its_alert_and_the_next_are_posted(tmp_path: Path, sandbox: Sandbox) -> None:
    changes: dict[str, Any] = {
        "rooms": {
            "ok": room("OK"),
            "ops": room("OPS"),
            **{f"r{n}": room(f"R{n}", template=f"t{n}") for n in range(len(KINDS))},
        },
        "templates": {f"t{n}": f"\n{HOSTILE[kind]}" for n, kind in enumerate(KINDS)},
        "route": {"rooms": ["ok"], "routes": [only_for(n, f"r{n}") for n in range(len(KINDS))]},
        "operator": {"room": "ops"},
    }
    async with running(tmp_path, sandbox, **changes) as relay:
        for n in range(len(KINDS)):
            assert (await relay.post([alert(f"first of {n}", n), alert(f"second of {n}", n)]))[0] == 202
            await posted_promptly(relay, f"next after {n}.")
        await relay.until(lambda: all(len(of_alerts(relay, f"R{n}")) == 2 for n in range(len(KINDS))))
        for n in range(len(KINDS)):
            told = [one.text.splitlines()[0] for one in of_alerts(relay, f"R{n}")]
            assert [re.sub(r"^.* · ", "", one) for one in told] == [f"first of {n}", f"second of {n}"]
        await relay.until(lambda: len(relay.messages("OPS")) >= len(KINDS))
        await posted_promptly(relay, "last of all")
        notices = [one.text for one in relay.messages("OPS")]
        failed = re.findall(r"template (t\d+) fails", "\n".join(notices))
        assert sorted(failed) == sorted(changes["templates"])
        assert all("line 2: takes over 500,000 steps of work" in one or "50 deep" in one for one in notices)
        _, metrics = await relay.get("/metrics")
        for n in range(len(KINDS)):
            assert f'relay_template_failures_total{{template="t{n}"}} 2.0' in metrics
        log = relay.log.read_text(encoding="utf-8")
        assert log.count('"event": "template_failed"') == 2 * len(KINDS)


def of_alerts(relay: Running, title: str) -> list[Any]:
    return [one for one in relay.messages(title) if one.parent is None]


async def test_a_card_that_never_ends_is_left_out_and_the_next_alert_is_posted(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    kinds = ("loops", "macro calls itself twice", "power", "doubled text", "replace filter", "folded")
    rooms: dict[str, Any] = {"ok": room("OK"), "ops": room("OPS")}
    for n, kind in enumerate(kinds):
        file = tmp_path / f"{n}.json.j2"
        file.write_text(HOSTILE[kind], encoding="utf-8")
        rooms[f"r{n}"] = room(f"R{n}", card={"file": str(file)})
    route = {"rooms": ["ok"], "routes": [only_for(n, f"r{n}") for n in range(len(kinds))]}
    async with running(tmp_path, sandbox, rooms=rooms, route=route, operator={"room": "ops"}) as relay:
        for n in range(len(kinds)):
            assert (await relay.post(alert(f"first of {n}", n)))[0] == 202
            await posted_promptly(relay, f"next after {n}.")
        await relay.until(lambda: all(of_alerts(relay, f"R{n}") for n in range(len(kinds))))
        assert [of_alerts(relay, f"R{n}")[0].card for n in range(len(kinds))] == [None] * len(kinds)
        await relay.until(lambda: len(relay.messages("OPS")) == len(kinds))


async def test_the_operator_hears_of_a_template_once_until_it_is_another_text(tmp_path: Path, sandbox: Sandbox) -> None:
    def changes(template: str) -> dict[str, Any]:
        return {"rooms": {"noc": room("NOC", template="t")}, "templates": {"t": template}, "operator": {"room": "noc"}}

    async with running(tmp_path, sandbox, **changes("{{ labels.nothing.at.all }}")) as relay:
        for n in range(3):
            await relay.post({"title": f"alert {n}"})
        await relay.until(lambda: len(relay.messages()) == 4)
        assert (await relay.reload(**changes("{{ title }}{{ labels.n.nothing.at }}")))[0] == 422
        assert (await relay.reload(**changes("{{ title if status == 'firing' or labels else labels.n.x.y }}")))[
            0
        ] == 422
        await relay.post({"title": "alert 3"})
        await relay.until(lambda: any("alert 3" in one.text for one in relay.messages()))
        notices = [one.text for one in relay.messages() if "template t fails" in one.text]
        assert len(notices) == 1
        assert "line 1: UndefinedError" in notices[0]
