"""The sandbox's pages in a real browser: what stands in the rooms, as people see it, and the page that grants."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from playwright.async_api import Page, async_playwright, expect

from relay.sandbox.server import Sandbox
from tests.fakes.running import TOKEN

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
CARD = {
    "type": "AdaptiveCard",
    "version": "1.3",
    "body": [
        {"type": "TextBlock", "text": "disk full", "weight": "Bolder"},
        {"type": "FactSet", "facts": [{"title": "host", "value": "db-1"}]},
    ],
    "actions": [{"type": "Action.OpenUrl", "title": "Runbook", "url": "https://runbooks.example.net"}],
}


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page of a new browser; whatever it complains of fails the test."""
    complaints: list[str] = []
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = await browser.new_page()
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        yield opened
        await browser.close()
    assert complaints == []


async def post(session: aiohttp.ClientSession, sandbox: Sandbox, path: str, **body: Any) -> dict[str, Any]:
    """Call the sandbox's Webex or Spika."""
    headers = {"Authorization": f"Bearer {TOKEN}", "accesstoken": TOKEN}
    async with session.post(sandbox.address + path, json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        made: dict[str, Any] = await answer.json()
    return made


async def test_the_page_shows_what_people_would_see(sandbox: Sandbox, page: Page) -> None:
    await page.goto(f"{sandbox.address}/")
    async with aiohttp.ClientSession(trust_env=False) as session:
        room = await post(session, sandbox, "/v1/rooms", title="NOC")
        said = "**bold** <@personEmail:anna@example.net|Anna> <img src=x onerror=alert(1)>"
        first = await post(session, sandbox, "/v1/messages", roomId=room["id"], markdown=said)
        thread = {"roomId": room["id"], "parentId": first["id"]}
        await post(session, sandbox, "/v1/messages", **thread, text="a reply")
        await post(session, sandbox, "/v1/messages", **thread, files=["https://cams.example.net/a2.jpg"])
        await post(
            session,
            sandbox,
            "/v1/messages",
            roomId=room["id"],
            text="card",
            attachments=[{"contentType": "application/vnd.microsoft.card.adaptive", "content": CARD}],
        )
        await post(session, sandbox, "/api/messaging/messages", roomId=5, type="text", body={"text": "plain\n**text**"})
        noc = page.locator("section", has=page.get_by_role("heading", name="NOC"))
        message = noc.locator(".messages > article").first
        await expect(message.locator("strong").first).to_have_text("bold")
        await expect(message.locator("spark-mention")).to_have_text("Anna")
        await expect(message).to_contain_text("<img src=x onerror=alert(1)>")
        await expect(page.locator("img")).to_have_count(0)
        await expect(message.locator("article")).to_have_count(2)
        await expect(message.locator("article").first).to_contain_text("a reply")
        await expect(message.locator("article").last).to_contain_text("a2.jpg")
        await expect(noc.locator(".card")).to_contain_text("disk full")
        await expect(noc.locator(".card")).to_contain_text("host db-1")
        await expect(noc.locator(".card .button")).to_have_text("Runbook")
        spika = page.locator("section", has=page.get_by_role("heading", name="Spika room 5"))
        await expect(spika.locator(".plain")).to_have_text("plain\n**text**")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        body = {"roomId": room["id"], "markdown": "changed"}
        async with session.put(f"{sandbox.address}/v1/messages/{first['id']}", json=body, headers=headers) as answer:
            assert answer.status == 200
        await expect(noc.locator(".messages > article").first).to_contain_text("edited 1×")


async def test_a_person_grants_on_the_page(sandbox: Sandbox, page: Page) -> None:
    async with aiohttp.ClientSession(trust_env=False) as session:
        await post(session, sandbox, "/v1/rooms", title="NOC")
    wanted = {
        "client_id": "sandbox",
        "response_type": "code",
        "redirect_uri": f"{sandbox.address}/page.css",
        "scope": "spark:rooms_read <b>",
        "state": "s1",
    }
    await page.goto(f"{sandbox.address}/v1/authorize?{urlencode(wanted)}")
    await expect(page.locator("li")).to_have_text(["spark:rooms_read", "<b>"])
    await page.get_by_role("button", name="Grant").click()
    await page.wait_for_url("**/page.css?*")
    assert "state=s1" in page.url
    assert "code=" in page.url
