"""amtool (Debian's `prometheus-alertmanager`) works with a relay, and warns of nothing.

It needs that package, so it is no part of the suite: `pytest -n0 tests/acceptance/with_amtool.py`, as `.ci/run` does.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from relay.sandbox.server import Sandbox
from tests.fakes.running import Running, running, settled
from tests.fakes.silences import within

NOTES = {"summary": "Replica r3 lags", "runbook_url": "https://wiki.example.org/lag"}
GRAPH = "https://prometheus.example.org/graph?g0.expr=lag"
SETTINGS: dict[str, Any] = {
    "rooms": {name: {"account": "webex", "title": name, "create": True} for name in ("noc", "dba")},
    "sources": {"prometheus": {"type": "alertmanager-api"}},
    "route": {
        "rooms": ["noc"],
        "routes": [
            {"matchers": ['team="db"'], "rooms": ["dba"], "group_by": ["site"], "group_wait": "0s"},
            {"matchers": ['team="office"'], "rooms": ["dba"]},
        ],
    },
}


def posted(name: str, *, notes: dict[str, str] | None = None, graph: str = "", **labels: str) -> dict[str, Any]:
    """An alert as Prometheus posts it."""
    about = {"alertname": name, **labels}
    return {"labels": about, "annotations": notes or {}, "generatorURL": graph, "endsAt": within(300)}


async def amtool(relay: Running, *arguments: str) -> str:
    """Run amtool on a relay; it may neither fail nor warn."""
    made = await asyncio.create_subprocess_exec(
        "amtool",
        f"--alertmanager.url={relay.admin}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await made.communicate()
    assert (made.returncode, err.decode()) == (0, "")
    return out.decode()


async def test_amtool_works_without_a_warning(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, **SETTINGS) as relay:
        alerts = [posted("Lag", notes=NOTES, graph=GRAPH, team="db", site="a"), posted("Free")]
        assert (await relay.post(alerts, "/api/v2/alerts"))[0] == 200
        await settled(relay)
        (lag,) = json.loads(await amtool(relay, "-o", "json", "alert", "query", "alertname=Lag"))
        assert (lag["annotations"], lag["generatorURL"]) == (NOTES, GRAPH)
        extended = await amtool(relay, "-o", "extended", "alert", "query", "alertname=Lag")
        assert GRAPH in extended
        assert NOTES["runbook_url"] in extended
        made = (await amtool(relay, "silence", "add", "-a", "anna", "-c", "change", "site=a")).strip()
        assert made in await amtool(relay, "silence", "query")
        assert "Lag" in await amtool(relay, "alert", "query", "--silenced")
        assert "Lag" not in await amtool(relay, "alert", "query")
        await amtool(relay, "silence", "update", "-c", "longer", "-d", "3h", made)
        assert "longer" in await amtool(relay, "-o", "json", "silence", "query")
        await amtool(relay, "silence", "expire", made)
        assert "dba" in await amtool(relay, "config", "routes", "test", "team=office")
        assert 'team="db"' in await amtool(relay, "config", "routes", "show")
        assert "receiver: noc" in await amtool(relay, "config", "show")
        assert "disabled" in await amtool(relay, "cluster", "show")
