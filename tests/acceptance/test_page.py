"""The page in a real browser, at the width of a desk and of a phone."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect
from prometheus_client.parser import text_string_to_metric_families

from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.acceptance.harness import command, free_port
from tests.fakes.browser import CHROMIUM, WIDTHS, browser_page
from tests.fakes.running import ROOM, Running, running, settled

expect.set_options(timeout=20_000)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
SLOW = {"first": "1s", "longest": "1s"}
FIRING = {"title": "port-down on node-101", "severity": "critical", "status": "firing", "key": "k1"}


@pytest.fixture
def width() -> str:
    return "desk"


@pytest.fixture
async def page(width: str) -> AsyncIterator[Page]:
    async with browser_page(width) as opened:
        yield opened


async def no_wider_than_the_screen(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("width", WIDTHS)
async def test_what_happens_is_told_live_with_its_fate(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    feed = {"type": "websocket", "url": "ws://127.0.0.1:9/feed"}
    async with running(tmp_path, sandbox, sources={"lab": {"type": "webhook"}, "feed": feed}, retry=SLOW) as relay:
        await page.goto(relay.admin)
        await expect(page.locator("#ready")).to_have_text("ready")
        await expect(page.locator("#events-list")).to_contain_text("No event has arrived yet")
        await expect(page.locator("#incidents-list")).to_contain_text("Nothing is open")
        await relay.post(FIRING)
        row = page.locator("#events-list li", has_text="port-down on node-101")
        await expect(row.locator(".chip")).to_have_text("noc: done")
        await expect(row).to_contain_text("critical")
        incident = page.locator("#incidents-list li", has_text="port-down on node-101")
        (message,) = relay.messages()
        await expect(incident.locator(".chip")).to_have_text(f"noc: message …{message.id[-8:]}")
        await expect(page).to_have_title("(1) relay")
        room = page.locator("#rooms tbody tr")
        await expect(room).to_contain_text("noc")
        await expect(room).to_contain_text("works")
        sources = page.locator("#sources tbody tr")
        await expect(sources.filter(has_text="lab")).to_contain_text("listens")
        await expect(sources.filter(has_text="feed")).to_contain_text("down after")
        await expect(page.locator("#tiles svg[role=img]")).to_have_count(3)
        await relay.post({**FIRING, "status": "resolved"})
        await expect(page.locator("#incidents-list")).to_contain_text("Nothing is open")
        sandbox.state.faults = [Fault(status=503)]
        await relay.post({"title": "waits"})
        await expect(page.locator("#rooms tbody tr")).to_contain_text("fails for")
        await expect(page.locator("#tiles li", has_text="Waiting")).to_contain_text("1")
        sandbox.state.faults = []
        await expect(page.locator("#rooms tbody tr")).to_contain_text("works")
        await no_wider_than_the_screen(page)


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_reason_is_a_sentence(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox) as relay:
        silence = {"matchers": ["key=k1"], "ends_at": "2099-01-01T00:00:00Z", "created_by": "a", "comment": "b"}
        async with relay.session.post(f"{relay.admin}/api/v1/silences", json=silence) as answer:
            assert answer.status == 200
        await relay.post(FIRING)
        await page.goto(relay.admin)
        incident = page.locator("#incidents-list li", has_text="port-down on node-101")
        await expect(incident).to_contain_text("held back: a silence suppresses it")
        await expect(incident.locator(".chip")).to_have_text("noc: silenced")
        event = page.locator("#events-list li", has_text="port-down on node-101")
        await expect(event.locator(".chip")).to_have_attribute("title", re.compile("a silence suppresses it"))
        await event.get_by_role("button").click()
        await expect(page.locator("#event-body")).to_contain_text("no message: a silence suppresses it")
        await no_wider_than_the_screen(page)


@pytest.mark.parametrize("width", WIDTHS)
async def test_dead_deliveries_are_retried_and_dropped(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox) as relay:
        sandbox.state.faults = [Fault(status=400)]
        for number in range(3):
            await relay.post({"title": f"event {number}"})
        await relay.until_state("dead", 3)
        sandbox.state.faults = []
        await page.goto(relay.admin)
        await expect(page.locator("#dead-list li")).to_have_count(3)
        await expect(page.locator("#dead-list")).to_contain_text("refused")
        await page.get_by_role("button", name="Retry event 1").click()
        await relay.until(lambda: [m.text.splitlines()[0].split(" · ")[1] for m in relay.messages()] == ["event 1"])
        await expect(page.locator("#dead-list li")).to_have_count(2)
        await page.get_by_role("button", name="Drop event 0").click()
        await page.locator("#sure-dialog").get_by_role("button", name="No").click()
        await page.get_by_role("button", name="Drop all").click()
        await page.locator("#sure-dialog").get_by_role("button", name="Yes").click()
        await expect(page.locator("#dead")).to_be_hidden()
        assert len(await relay.until_state("dropped", 2)) == 2


@pytest.mark.parametrize("width", WIDTHS)
async def test_an_incident_is_given_back(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox) as relay:
        await relay.post(FIRING)
        await relay.until(lambda: len(relay.messages()) == 1)
        (incident,) = (await relay.get("/api/v1/incidents"))[1]
        async with relay.session.post(f"{relay.admin}/api/v1/incidents/{incident['id']}/ack", json={"by": "anna"}):
            await relay.until(lambda: any("anna" in m.text for m in relay.messages()))
        await page.goto(relay.admin)
        await page.get_by_role("button", name="Unacknowledge port-down").click()
        await expect(page.locator("#ack-title")).to_have_text("anna does not have it any more")
        await page.get_by_label("Who").locator("visible=true").fill("anna")
        await page.locator("#ack-dialog").get_by_role("button", name="Unacknowledge").click()
        await relay.until(lambda: not any("anna" in m.text for m in relay.messages()))
        await expect(page.get_by_role("button", name="Unacknowledge port-down")).to_have_count(0)


@pytest.mark.parametrize("width", WIDTHS)
async def test_an_incident_is_taken_up_and_silenced(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox) as relay:
        await relay.post(FIRING)
        await page.goto(relay.admin)
        await page.get_by_role("button", name="Acknowledge port-down").click()
        await page.get_by_label("Who").locator("visible=true").fill("anna")
        await page.get_by_label("A comment").fill("on my way")
        await page.locator("#ack-dialog").get_by_role("button", name="Acknowledge").click()
        await expect(page.locator("#incidents-list")).to_contain_text("anna has it: on my way")
        await relay.until(lambda: any("anna" in m.text for m in relay.messages()))
        await page.get_by_role("button", name="Silence port-down").click()
        matchers = page.get_by_label("Matchers, one a line")
        await expect(matchers).to_have_value('source="lab"\nkey="k1"')
        await matchers.fill("no matcher")
        await page.locator("#silence-comment").fill("change 4711")
        await expect(page.locator("#silence-by")).to_have_value("anna")
        send = page.locator("#silence-dialog").get_by_role("button", name="Silence")
        await send.click()
        await expect(page.locator("#silence-dialog .trouble")).not_to_be_empty()
        await matchers.fill('key="k1"')
        await send.click()
        silence = page.locator("#silences-list li", has_text='key="k1"')
        await expect(silence).to_contain_text("active")
        await expect(silence).to_contain_text("anna: change 4711")
        await silence.get_by_role("button").click()
        await page.locator("#sure-dialog").get_by_role("button", name="Yes").click()
        await expect(page.locator("#silences-list")).to_contain_text("Nothing is silenced")


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_payload_is_tried_on_the_tree(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    rooms = {"noc": ROOM, "core": {**ROOM, "title": "CORE"}}
    route = {
        "rooms": ["noc"],
        "routes": [
            {"matchers": ['severity="critical"'], "rooms": ["core"]},
            {"matchers": ['site="ams"'], "rooms": ["noc"]},
        ],
    }
    async with running(tmp_path, sandbox, rooms=rooms, route=route) as relay:
        await page.goto(relay.admin)
        await expect(page.locator("#tree .node")).to_have_count(3)
        await page.get_by_role("button", name="Try", exact=True).click()
        lit = page.locator("#tree .node.lit")
        await expect(lit).to_have_count(2)
        await expect(lit.last).to_contain_text('severity="critical"')
        await expect(page.locator("#tree .node.out")).to_contain_text("no match: not tried")
        await expect(page.locator("#try-result")).to_contain_text("post to core")
        await expect(page.locator("#try-result pre")).to_contain_text("port-down on node-101")
        await page.get_by_label("Payload", exact=True).fill('{"no": "title"}')
        await page.get_by_role("button", name="Try", exact=True).click()
        await expect(page.locator("#try-result .trouble")).to_contain_text("title")
        await expect(lit).to_have_count(0)
        await no_wider_than_the_screen(page)
        assert relay.messages() == relay.messages("CORE") == []


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_configuration_is_shown_and_reloaded(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox) as relay:
        await page.goto(relay.admin)
        await expect(page.locator("#config-about")).to_contain_text(str(relay.file))
        await page.get_by_text("As YAML, without secrets").click()
        await expect(page.locator("#config-text")).to_contain_text("token: '********'")
        relay.write(route={"rooms": ["nowhere"]})
        await page.get_by_role("button", name="Reload").click()
        await expect(page.locator("#config-problems pre")).to_contain_text("route.rooms[0]")
        await expect(page.locator("#troubles")).to_contain_text("The last configuration was refused")
        relay.write(sources={"lab": {"type": "webhook"}, "extra": {"type": "webhook"}})
        await page.get_by_role("button", name="Reload").click()
        await expect(page.locator("#config-text")).to_contain_text("extra:")
        await expect(page.locator("#troubles")).to_be_empty()
        await expect(page.locator("#sources tbody tr")).to_have_count(2)
        await page.get_by_label("Payload", exact=True).fill('{"title": "my own"}')
        await page.get_by_role("button", name="Try", exact=True).click()
        await expect(page.locator("#try-result")).to_contain_text("post to noc")
        relay.write(rooms={"noc": ROOM, "core": {**ROOM, "title": "CORE"}}, route={"rooms": ["core"]})
        await page.get_by_role("button", name="Reload").click()
        await expect(page.locator("#try-result")).to_contain_text("post to core")
        await expect(page.locator("#tree .lit .chip.good")).to_have_text("✓ core")
        await expect(page.get_by_label("Payload", exact=True)).to_have_value('{"title": "my own"}')
        await no_wider_than_the_screen(page)


async def test_it_goes_on_after_a_restart(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    listen = {"events": "127.0.0.1:0", "admin": f"127.0.0.1:{free_port()}"}
    async with running(tmp_path, sandbox, listen=listen) as relay:
        await page.goto(relay.admin)
        await relay.post({"title": "before"})
        await expect(page.locator("#events-list")).to_contain_text("before")
    await expect(page.locator("#lost")).to_contain_text("No answer from the relay. This page shows the state of")
    await expect(page.locator("#ready")).to_have_text("no answer")
    await expect(page).to_have_title("! relay")
    assert await page.evaluate("getComputedStyle(document.querySelector('main')).filter") == "grayscale(1)"
    async with running(tmp_path, sandbox, listen=listen) as relay:
        await expect(page.locator("#ready")).to_have_text("ready")
        await relay.post({"title": "behind"})
        await expect(page.locator("#events-list li").first).to_contain_text("behind")
        await expect(page.locator("#events-list")).to_contain_text("before")
        await expect(page.locator("#lost")).to_be_hidden()
        await expect(page).to_have_title("relay")


@pytest.mark.parametrize("width", WIDTHS)
async def test_hostile_texts_do_no_harm(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox) as relay:
        await page.goto(relay.admin)
        evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
        await relay.post({**FIRING, "title": evil, "labels": {"site": evil}, "body": evil})
        await relay.post({**FIRING, "title": "w" * 10_000, "key": "k2"})
        await settled(relay)
        sandbox.state.faults = [Fault(status=400)]
        await relay.post({"title": evil + "x" * 10_000})
        await relay.until_state("dead")
        sandbox.state.faults = []
        await expect(page.locator("#incidents-list")).to_contain_text("<script>alert(1)</script>")
        await expect(page.locator("#incidents-list li")).to_have_count(2)
        await expect(page.locator("#dead-list")).to_contain_text("<img src=x")
        await no_wider_than_the_screen(page)
        await page.locator("#events-list .title").last.click()
        await expect(page.locator("#event-body")).to_contain_text("onerror=alert(2)")
        await no_wider_than_the_screen(page)
        assert await page.locator("img").count() == 0
        assert await page.locator("script").count() == 1
        box = await page.locator("#incidents-list li").last.bounding_box()
        assert box is not None
        assert box["height"] < 400


async def test_a_token_is_asked_for_once_and_can_be_given_back(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "admin_token": "open sesame"}
    async with running(tmp_path, sandbox, listen=listen) as relay:
        await page.goto(relay.admin)
        await expect(page).to_have_title("Log in · relay")
        await page.get_by_label("Admin token").fill("wrong")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("alert")).to_have_text("That is not the admin token.")
        await page.get_by_label("Admin token").fill("open sesame")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.locator("#ready")).to_have_text("ready")
        (cookie,) = await page.context.cookies()
        assert cookie.get("httpOnly") is True
        assert cookie.get("sameSite") == "Strict"
        assert "sesame" not in str(cookie.get("value"))
        await relay.post({"title": "by the feed"})
        await expect(page.locator("#events-list")).to_contain_text("by the feed")
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Admin token")).to_be_visible()
        assert await page.context.cookies() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_axe_finds_no_serious_fault(tmp_path: Path, sandbox: Sandbox, width: str, scheme: str) -> None:
    async with browser_page(width, scheme) as page:
        async with running(tmp_path, sandbox) as relay:
            await everything_at_once(relay)
            await page.goto(relay.admin)
            await expect(page.locator("#dead-list li")).to_have_count(1)
            await expect(page.locator("#silences-list li")).to_contain_text("active")
            await page.get_by_role("button", name="Try", exact=True).click()
            await expect(page.locator("#tree .lit")).to_have_count(1)
            assert await serious(page) == []
            await page.get_by_role("button", name="Add a silence").click()
            assert await serious(page) == []
            await page.keyboard.press("Escape")
            await page.locator("#events-list .title").first.click()
            await expect(page.locator("#event-body pre")).to_be_visible()
            assert await serious(page) == []
            await page.keyboard.press("Escape")
            await page.route("**/deliveries/retry", lambda route: route.fulfill(status=503))
            await page.get_by_role("button", name="Retry dead").click()
            await expect(page.locator("#failures")).to_contain_text("Retry dead: answered 503")
        await expect(page.locator("#lost")).to_be_visible()
        assert await serious(page) == []


async def everything_at_once(relay: Running) -> None:
    """An incident of each severity, something dead, a silence, a configuration that was refused."""
    for severity in ("critical", "major", "minor", "warning", "info"):
        await relay.post({**FIRING, "severity": severity, "key": severity})
    await relay.until_state("done", 5)
    await relay.post({**FIRING, "severity": "major", "key": "major", "status": "resolved"})
    await relay.until_state("done", 7)
    relay.sandbox.state.faults = [Fault(status=400)]
    await relay.post({"title": "dead"})
    await relay.until_state("dead")
    relay.sandbox.state.faults = []
    silence = {"matchers": ["key=x"], "ends_at": "2099-01-01T00:00:00Z", "created_by": "a", "comment": "b"}
    async with relay.session.post(f"{relay.admin}/api/v1/silences", json=silence) as answer:
        assert answer.status == 200
    assert (await relay.reload(route={"rooms": ["nowhere"]}))[0] == 422


async def serious(page: Page) -> list[str]:
    """What axe-core finds that is serious or worse: rule and place."""
    found = (await Axe().run(page)).response["violations"]
    bad = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['target']} {node.get('failureSummary', '')}" for one in bad for node in one["nodes"]]


async def test_all_is_done_by_the_keyboard(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox) as relay:
        await relay.post(FIRING)
        await page.goto(relay.admin)
        await expect(page.locator("#incidents-list")).to_contain_text("port-down")
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("Skip to the open alerts")).to_be_focused()
        await page.keyboard.press("Enter")
        for _ in range(5):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.textContent") == "Acknowledge":
                break
        await expect(page.get_by_role("button", name="Acknowledge port-down")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#ack-by")).to_be_focused()
        await page.keyboard.type("anna")
        await page.keyboard.press("Enter")
        await expect(page.locator("#incidents-list")).to_contain_text("anna has it")
        await expect(page.get_by_role("button", name="Acknowledge port-down")).to_be_focused()


async def test_what_is_in_hand_stays_while_all_around_it_changes(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox) as relay:
        await relay.post(FIRING)
        await relay.post({"title": "an early one"})
        await page.goto(relay.admin)
        button = page.get_by_role("button", name="Acknowledge port-down on node-101")
        await button.focus()
        early = page.locator("#events-list .title", has_text="an early one")
        await early.scroll_into_view_if_needed()
        box = await early.bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + 5, box["y"] + 5)
        await page.mouse.down()
        for number in range(30):
            await relay.post({**FIRING, "title": f"another {number}", "key": f"a{number}"})
        await expect(page.locator("#incidents-list li")).to_have_count(31)
        await expect(page.locator("#incidents-list li").first).to_contain_text("another 29")
        await page.mouse.up()
        await expect(page.locator("#event-title")).to_have_text("an early one")
        await page.get_by_role("button", name="Close").click()
        await expect(early).to_be_focused()
        await page.mouse.move(1, 1)
        await expect(page.locator("#events-list li").first).to_contain_text("another 29")
        await button.focus()
        await relay.post({**FIRING, "title": "the last", "key": "last"})
        await expect(page.locator("#incidents-list li")).to_have_count(32)
        await expect(button).to_be_focused()


async def test_a_stream_that_stands_still_counts_and_is_bounded(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox) as relay:
        await relay.post({"title": "before"})
        await page.goto(relay.admin)
        await expect(page.locator("#events-list")).to_contain_text("before")
        await page.get_by_role("button", name="Pause").click()
        for number in range(4):
            await relay.post([{"title": f"event {number}-{one}"} for one in range(60)])
        await expect(page.locator("#events-fresh")).to_have_text("240 new")
        await expect(page.locator("#events-list li")).to_have_count(1)
        await page.get_by_role("button", name="Continue").click()
        await expect(page.locator("#events-list li")).to_have_count(100)
        await expect(page.locator("#events-list li").first).to_contain_text("event 3-59")
        await expect(page.locator("#events-fresh")).to_have_text("")


async def test_a_stream_that_nobody_reads_any_more_goes_on(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox) as relay:
        await relay.post({"title": "before"})
        await page.clock.install()
        await page.goto(relay.admin)
        await expect(page.locator("#tiles li")).not_to_have_count(0)  # all above the list is there: it moves no more
        await page.locator("#events-list .title").hover()
        await relay.post({"title": "behind"})
        await expect(page.locator("#events-fresh")).to_have_text("1 new")
        await expect(page.locator("#events-list li")).to_have_count(1)
        await page.clock.fast_forward(25_000)
        await expect(page.locator("#events-list li")).to_have_count(2)
        await expect(page.locator("#events-fresh")).to_have_text("")


async def test_what_an_action_came_to_stays_until_it_is_read(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    async with running(tmp_path, sandbox) as relay:
        sandbox.state.faults = [Fault(status=400)]
        await relay.post({"title": "refused"})
        await relay.until_state("dead")
        await page.goto(relay.admin)
        gone = {"error": {"code": "store_unavailable", "message": "the disk is full"}}
        await page.route("**/deliveries/retry", lambda route: route.fulfill(status=503, json=gone))
        await page.get_by_role("button", name="Retry refused").click()
        await expect(page.locator("#failures")).to_contain_text("Retry refused: the disk is full")
        async with page.expect_response("**/api/v1/status"):
            pass
        async with page.expect_response("**/api/v1/status"):
            pass
        await expect(page.locator("#failures")).to_contain_text("the disk is full")
        await page.get_by_role("button", name="Dismiss").click()
        await expect(page.locator("#failures")).to_be_empty()


async def test_times_are_the_relays_in_the_zone_of_the_configuration(
    tmp_path: Path, sandbox: Sandbox, page: Page
) -> None:
    async with running(tmp_path, sandbox, timezone="Asia/Kathmandu") as relay:
        await page.clock.set_fixed_time("2031-01-01T00:00:00Z")
        await relay.post(FIRING)
        await page.goto(relay.admin)
        (event,) = (await relay.get("/api/v1/events"))[1]
        local = datetime.fromisoformat(event["received_at"]).astimezone(ZoneInfo("Asia/Kathmandu"))
        await expect(page.locator("#events-list time")).to_have_text(f"{local:%H:%M:%S}")
        await expect(page.locator("#clock")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d Asia/Kathmandu$"))
        await page.get_by_role("button", name="Silence port-down").click()
        await page.locator("#silence-by").fill("anna")
        await page.locator("#silence-comment").fill("a night")
        await page.locator("#silence-dialog").get_by_role("button", name="Silence").click()
        await expect(page.locator("#silences-list")).to_contain_text("anna: a night")
        (silence,) = (await relay.get("/api/v1/silences"))[1]
        lasts = datetime.fromisoformat(silence["ends_at"]) - datetime.fromisoformat(silence["starts_at"])
        assert timedelta(hours=1, minutes=58) < lasts < timedelta(hours=2, minutes=2)


@pytest.mark.parametrize("width", ["phone"])
async def test_a_phone_shows_at_once_how_each_source_and_room_is(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    feed = {"type": "websocket", "url": "ws://127.0.0.1:9/feed"}
    sources = {"a-webhook-with-a-long-name": {"type": "webhook"}, "feed": feed}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        await page.goto(relay.admin)
        for cell in (page.locator("#sources td.good"), page.locator("#sources td.bad"), page.locator("#rooms td.good")):
            box = await cell.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= WIDTHS["phone"][0]
        await page.mouse.wheel(0, 2_000)
        await expect(page.locator("#ready")).to_be_in_viewport()


async def test_the_worst_and_the_latest_are_shown_of_many(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    rooms = {"noc": {**ROOM, "digest_over": 100_000}, "core": {**ROOM, "title": "CORE", "digest_over": 100_000}}
    async with running(tmp_path, sandbox, rooms=rooms, route={"rooms": ["noc", "core"]}) as relay:
        await relay.post([{**FIRING, "title": f"critical {n}", "key": f"k{n}"} for n in range(300)])
        await relay.post({**FIRING, "title": "the newest", "key": "newest"})
        await page.goto(relay.admin)
        await expect(page.locator("#incidents-list li").first).to_contain_text("the newest")
        await expect(page.locator("#incidents-list li")).to_have_count(200)
        await expect(page.locator("#incidents-count")).to_have_text("301, the worst 200 are shown")


class Truths:
    """What each way of asking tells of the rooms: deliveries that wait, are dead, and are set aside."""

    def __init__(self, relay: Running, page: Page) -> None:
        self._relay = relay
        self._page = page

    async def agree_on(self, expected: dict[str, tuple[int, int, int]]) -> None:
        """All ways tell this, sooner (the command line, the API, the metrics) or later (the page)."""
        await self._relay.until_seen(self._by_status, lambda told: told == expected)
        assert await self._by_metrics() == expected
        assert await self._by_deliveries() == expected
        for room, (waiting, dead, aside) in expected.items():
            row = self._page.locator("#rooms tbody tr", has=self._page.locator(f"th:text-is('{room}')"))
            await expect(row.locator("td").nth(1)).to_have_text(str(waiting))
            await expect(row.locator("td").nth(3)).to_have_text(str(dead))
            said = expect(row.locator("td").nth(0))
            await (said.to_contain_text(f"{aside} set aside") if aside else said.not_to_contain_text("set aside"))
        tiles = self._page.locator("#tiles")
        await expect(tiles.locator("li", has_text="Waiting")).to_contain_text(
            str(sum(w for w, *_ in expected.values()))
        )
        await expect(tiles.locator("li", has_text="Dead")).to_contain_text(str(sum(d for _, d, _ in expected.values())))
        assert await self._by_status() == await self._by_metrics() == await self._by_deliveries() == expected

    async def _by_status(self) -> dict[str, tuple[int, int, int]]:
        code, out, error = await command("status", "-c", str(self._relay.file), "-o", "json")
        assert code == 0, error
        rooms = json.loads(out)["rooms"]
        return {room["room"]: (room["waiting"], room["dead"], room["set_aside"]) for room in rooms}

    async def _by_metrics(self) -> dict[str, tuple[int, int, int]]:
        _, text = await self._relay.get("/metrics")
        names = ("relay_queue_depth", "relay_dead_deliveries", "relay_deliveries_set_aside")
        found: Counter[tuple[str, str]] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in names:
                    found[sample.name, sample.labels["room"]] += int(sample.value)
        waiting, dead, aside = names
        return {room: (found[waiting, room], found[dead, room], found[aside, room]) for room in ("noc", "core")}

    async def _by_deliveries(self) -> dict[str, tuple[int, int, int]]:
        arguments = ("deliveries", "list", "-c", str(self._relay.file), "-n", "10000", "-o", "json")
        code, out, error = await command(*arguments)
        assert code == 0, error
        listed = json.loads(out)
        counted = Counter((one["room"], one["state"]) for one in listed)
        aside = Counter(one["room"] for one in listed if one["set_aside"])
        return {room: (counted[room, "waiting"], counted[room, "dead"], aside[room]) for room in ("noc", "core")}


async def test_all_ways_of_asking_agree_through_an_outage(tmp_path: Path, sandbox: Sandbox, page: Page) -> None:
    listen = {"events": "127.0.0.1:0", "admin": f"127.0.0.1:{free_port()}"}
    rooms = {"noc": ROOM, "core": {**ROOM, "title": "CORE"}}
    route = {"rooms": ["noc"], "routes": [{"matchers": ['severity="critical"'], "rooms": ["core"]}]}
    slow = {"first": "1h", "longest": "1h"}
    async with running(tmp_path, sandbox, listen=listen, rooms=rooms, route=route, retry=slow) as relay:
        truths = Truths(relay, page)
        await page.goto(relay.admin)
        await relay.post([{"title": "a"}, {"title": "b", "severity": "critical"}])
        await truths.agree_on({"noc": (0, 0, 0), "core": (0, 0, 0)})
        sandbox.state.faults = [Fault(status=503, room="CORE")]
        await relay.post([{"title": f"c{number}", "severity": "critical"} for number in range(5)])
        await relay.post({"title": "d"})
        await truths.agree_on({"noc": (0, 0, 0), "core": (5, 0, 0)})
        sandbox.state.faults = [Fault(status=503, room="CORE"), Fault(status=400, room="NOC")]
        await relay.post([{"title": "e"}, {"title": "f"}])
        await truths.agree_on({"noc": (0, 2, 0), "core": (5, 0, 0)})
        sandbox.state.faults = []
        assert (await command("deliveries", "retry", "--state", "waiting", "-c", str(relay.file)))[0] == 0
        await truths.agree_on({"noc": (0, 2, 0), "core": (0, 0, 0)})
        assert (await command("deliveries", "drop", "--room", "noc", "-c", str(relay.file)))[0] == 0
        await truths.agree_on({"noc": (0, 0, 0), "core": (0, 0, 0)})


async def test_a_critical_that_is_set_aside_is_told_by_all_ways_of_asking(
    tmp_path: Path, sandbox: Sandbox, page: Page
) -> None:
    listen = {"events": "127.0.0.1:0", "admin": f"127.0.0.1:{free_port()}"}
    rooms = {"noc": ROOM, "core": {**ROOM, "title": "CORE"}}
    route = {"rooms": ["noc"], "routes": [{"matchers": ['severity="critical"'], "rooms": ["core"]}]}
    options: dict[str, Any] = {"rooms": rooms, "route": route, "retry": {"first": "1h", "longest": "1h"}}
    sandbox.state.faults = [Fault(status=503, room="CORE")]
    async with running(tmp_path, sandbox, listen=listen, **options) as relay:
        await relay.post({"title": "core router down", "severity": "critical"})
        await relay.until_shown("/api/v1/deliveries?reason=remote")
    with closing(sqlite3.connect(tmp_path / "relay.db")) as connection, connection:
        connection.execute("UPDATE deliveries SET aside = 1, failing_since = failing_since - 600")
    _, out, _ = await command("status", "-c", str(relay.file), "-o", "json")
    assert [(room["set_aside"], room["set_aside_severity"]) for room in json.loads(out)["rooms"]] == [
        (0, None),
        (1, "critical"),
    ]
    async with running(tmp_path, sandbox, listen=listen, **options) as relay:
        truths = Truths(relay, page)
        await page.goto(relay.admin)
        await truths.agree_on({"noc": (0, 0, 0), "core": (1, 0, 1)})
        await expect(page.locator("#troubles")).to_contain_text("Critical alerts for room core are set aside")
        code, out, _ = await command("status", "--nagios", "-c", str(relay.file))
        said = "RELAY CRITICAL - Critical alerts for room core are set aside, as they failed while others got through."
        assert (code, out.startswith(said)) == (2, True)
        assert "set_aside=1" in out
        assert "1 set aside until" in (await command("status", "-c", str(relay.file)))[1]
        assert "SET ASIDE UNTIL" in (await command("deliveries", "list", "-c", str(relay.file)))[1]
        assert 'relay_deliveries_set_aside{room="core",severity="critical"} 1.0' in (await relay.get("/metrics"))[1]
        sandbox.state.faults = []
        await relay.post({"title": "newer", "severity": "critical"})
        await truths.agree_on({"noc": (0, 0, 0), "core": (0, 0, 0)})
        assert (await command("status", "--nagios", "-c", str(relay.file)))[1].startswith("RELAY OK - all is well")
