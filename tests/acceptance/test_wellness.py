"""Six places say how well the relay is: in each trouble the same sentence and what to do, and "well" after it."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect
from prometheus_client.parser import text_string_to_metric_families

from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.acceptance.harness import command, free_port
from tests.fakes.browser import CHROMIUM, browser_page
from tests.fakes.running import ROOM, TOKEN, Running, running

expect.set_options(timeout=20_000)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
CODES = {"warning": 1, "critical": 2}
FIRING = {"title": "core router down", "status": "firing", "key": "k1", "severity": "critical"}


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with browser_page("desk") as opened:
        yield opened


def setup(sandbox: Sandbox, **changes: Any) -> dict[str, Any]:
    """Rooms of two accounts: the operator's has its own."""
    account = {"type": "webex", "url": f"{sandbox.address}/v1", "token": TOKEN}
    return {
        "listen": {"events": "127.0.0.1:0", "admin": f"127.0.0.1:{free_port()}"},
        "accounts": {"webex": account, "own": account},
        "rooms": {"core": {**ROOM, "title": "CORE"}, "ops": {**ROOM, "title": "OPS", "account": "own"}},
        "operator": {"room": "ops"},
        "route": {"rooms": ["core"]},
        **changes,
    }


class Places:
    """The places that say how well the relay is."""

    def __init__(self, relay: Running, page: Page) -> None:
        self._relay = relay
        self._page = page

    async def agree(self, code: str, severity: str, about: str = "") -> dict[str, Any]:
        """Wait for a finding; all places say its sentence and its remedy. Return it as the API does."""

        def of(status: dict[str, Any]) -> list[dict[str, Any]]:
            return [one for one in status["findings"] if (one["code"], one["about"]) == (code, about)]

        status = await self._relay.until_shown("/api/v1/status", of)
        (found,) = of(status)
        assert found["severity"] == severity
        said = (found["sentence"], found["remedy"])
        for name, text in (await self._texts()).items():
            assert all(part in text for part in said), (name, said, text)
        for part in said:
            await expect(self._page.locator("#troubles")).to_contain_text(part)
        await self._relay.until(lambda: all(plain(part) in self._told() for part in said))
        exit_code, out, _ = await command("status", "--nagios", "-c", str(self._relay.file))
        worst = status["findings"][0]
        assert exit_code == CODES[worst["severity"]]
        assert out.splitlines()[0].startswith(f"RELAY {worst['severity'].upper()} - {worst['sentence']}")
        return found

    async def are_well(self) -> None:
        """Wait until all is well; all places say so."""
        await self._relay.until_shown("/api/v1/status", lambda status: status["health"] == "ok")
        texts = await self._texts()
        assert all("all is well" in texts[name] for name in ("status", "nagios", "readyz"))
        assert texts["metrics"] == ""
        await expect(self._page.locator("#troubles")).to_be_empty()
        await self._relay.until(lambda: not self._open())
        assert (await command("status", "--nagios", "-c", str(self._relay.file)))[0] == 0

    async def _texts(self) -> dict[str, str]:
        _, status, _ = await command("status", "-c", str(self._relay.file))
        _, nagios, _ = await command("status", "--nagios", "-c", str(self._relay.file))
        _, readyz = await self._relay.get("/readyz?verbose")
        return {"status": status, "nagios": nagios, "readyz": readyz, "metrics": await self._by_metrics()}

    async def _by_metrics(self) -> str:
        """Return what the metrics say is wrong now; as many things as their counts say."""
        families = text_string_to_metric_families((await self._relay.get("/metrics"))[1])
        samples = [sample for family in families for sample in family.samples]
        found = [sample.labels for sample in samples if sample.name == "relay_finding_info"]
        assert len(found) == sum(sample.value for sample in samples if sample.name == "relay_findings")
        return "\n".join(f"{labels['sentence']} {labels['remedy']}" for labels in found)

    def _told(self) -> str:
        return plain("\n".join(message.text for message in self._relay.messages("OPS")))

    def _open(self) -> list[str]:
        """The notices in the operator's room that are not over."""
        posts = [message.text for message in self._relay.messages("OPS") if message.parent is None]
        return [text for text in posts if not text.startswith("✅")]


def plain(text: str) -> str:
    """Return a text without what markdown adds to it."""
    return re.sub(r"[`\\*_]", "", text)


async def test_a_refused_account_is_told_everywhere(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox, **setup(sandbox)) as relay:
        places = Places(relay, page)
        await page.goto(relay.admin)
        await places.are_well()
        sandbox.state.faults = [Fault(status=401, room="CORE")]
        await relay.post(FIRING)
        await places.agree("account_refused", "critical", "webex")
        row = page.locator("#rooms tbody tr", has=page.locator("th:text-is('core')"))
        await expect(row.locator("td").first).to_have_text("waits, as account webex is refused")
        await expect(row.locator("td").first).to_have_class("bad")
        sandbox.state.faults = []
        await places.are_well()


async def test_a_dead_delivery_behind_an_open_incident_is_told_everywhere(
    tmp_path: Path, sandbox: Sandbox, page: Page
) -> None:
    async with running(tmp_path, sandbox, **setup(sandbox)) as relay:
        places = Places(relay, page)
        await page.goto(relay.admin)
        sandbox.state.faults = [Fault(status=400, room="CORE")]
        await relay.post(FIRING)
        found = await places.agree("untold_incident", "critical", "core")
        assert found["detail"].startswith("core router down\nrefused: ")
        await expect(page.locator("#incidents-list")).to_contain_text("core: not delivered, refused: ")
        assert "undelivered" in (await command("incidents", "-c", str(relay.file)))[1]
        await relay.post({"title": "a notice"})
        await relay.until_state("dead", 2)
        sandbox.state.faults = []
        arguments = ("deliveries", "retry", "--state", "dead", "--room", "core", "-c", str(relay.file))
        assert (await command(*arguments))[0] == 0
        await places.are_well()
        await expect(page.locator("#incidents-list")).not_to_contain_text("not delivered")


async def test_a_set_aside_head_is_told_everywhere(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    settings = setup(sandbox, retry={"first": "1h", "longest": "1h"})
    sandbox.state.faults = [Fault(status=503, room="CORE")]
    async with running(tmp_path, sandbox, **settings) as relay:
        await relay.post(FIRING)
        await relay.until_shown("/api/v1/deliveries?reason=remote")
    with closing(sqlite3.connect(tmp_path / "relay.db")) as connection, connection:
        connection.execute("UPDATE deliveries SET aside = 1, failing_since = failing_since - 600")
    async with running(tmp_path, sandbox, **settings) as relay:
        places = Places(relay, page)
        await page.goto(relay.admin)
        await places.agree("set_aside", "critical", "core")
        sandbox.state.faults = []
        await relay.post({"title": "newer"})
        await places.are_well()


async def test_a_refused_reload_is_told_everywhere(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    settings = setup(sandbox)
    async with running(tmp_path, sandbox, **settings) as relay:
        places = Places(relay, page)
        await page.goto(relay.admin)
        assert (await relay.reload(**{**settings, "route": {"rooms": ["nowhere"]}}))[0] == 422
        found = await places.agree("reload_refused", "warning")
        assert "route.rooms[0]" in found["detail"]
        assert (await relay.reload(**settings))[0] == 200
        await places.are_well()


async def test_what_is_dead_because_its_room_was_taken_out_is_told_everywhere(
    tmp_path: Path, sandbox: Sandbox, page: Page
) -> None:
    settings = setup(sandbox, retry={"first": "1h", "longest": "1h"})
    sandbox.state.faults = [Fault(status=503, room="CORE")]
    async with running(tmp_path, sandbox, **settings) as relay:
        places = Places(relay, page)
        await page.goto(relay.admin)
        await relay.post(FIRING)
        await relay.until_shown("/api/v1/deliveries?reason=remote")
        without = {"rooms": {"ops": settings["rooms"]["ops"]}, "route": {"rooms": ["ops"]}}
        assert (await relay.reload(**{**settings, **without}))[0] == 200
        await places.agree("room_gone", "warning", "core")
        arguments = ("deliveries", "drop", "--state", "dead", "--room", "core", "-c", str(relay.file))
        assert (await command(*arguments))[0] == 0
        await places.are_well()


async def test_a_silent_source_is_told_everywhere(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    silent = {"lab": {"type": "webhook", "silent_after": "100ms"}}
    settings = setup(sandbox, sources=silent)
    async with running(tmp_path, sandbox, **settings) as relay:
        places = Places(relay, page)
        await page.goto(relay.admin)
        await places.agree("source_silent", "warning", "lab")
        assert (await relay.reload(**{**settings, "sources": {"lab": {"type": "webhook"}}}))[0] == 200
        await places.are_well()


async def test_a_full_disk_is_told_everywhere(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    settings = setup(sandbox, keep={"size": "2MiB"}, retry={"first": "1h", "longest": "1h"})
    sandbox.state.faults = [Fault(status=503, room="CORE")]  # what is not delivered is not pruned to make room
    async with running(tmp_path, sandbox, **settings) as relay:
        places = Places(relay, page)
        await page.goto(relay.admin)
        while (await relay.post({"title": "large", "body": "x" * 10_000}))[0] == 202:
            pass  # until the database has its size
        assert (await relay.get("/readyz?verbose"))[0] == 503
        await places.agree("disk_full", "critical")
        assert (await relay.reload(**{**settings, "keep": {"size": "200MiB"}}))[0] == 200
        sandbox.state.faults = []
        assert (await command("deliveries", "retry", "--state", "waiting", "-c", str(relay.file)))[0] == 0
        await places.are_well()
        assert (await relay.post({"title": "taken again"}))[0] == 202


async def test_findings_take_the_admin_token_but_readiness_does_not(tmp_path: Path, sandbox: Sandbox) -> None:
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "admin_token": "a-token-of-the-tests"}
    async with running(tmp_path, sandbox, listen=listen) as relay:
        assert (await relay.get("/readyz"))[0] == 200
        assert (await relay.get("/healthz?verbose"))[0] == 200
        assert (await relay.get("/readyz?verbose"))[0] == 401
        headers = {"Authorization": "Bearer a-token-of-the-tests"}
        assert await relay.get("/readyz?verbose", headers=headers) == (200, "ready\nall is well\n")


async def test_without_a_relay_the_database_says_what_waits(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, **setup(sandbox)) as relay:
        sandbox.state.faults = [Fault(status=400, room="CORE")]
        await relay.post(FIRING)
        await relay.until_state("dead")
        file = relay.file
    code, out, _ = await command("status", "--nagios", "-c", str(file))
    assert (code, out.startswith("RELAY CRITICAL - No relay runs on this database.")) == (2, True)
    assert "Room core does not know of an incident that is open" in out
    codes = [one["code"] for one in json.loads((await command("status", "-c", str(file), "-o", "json"))[1])["findings"]]
    assert codes == ["not_running", "untold_incident"]
