"""A page in a real browser, which fails where the page complains."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Page, Response, async_playwright

CHROMIUM = shutil.which("chromium")
WIDTHS = {"desk": (1400, 900), "phone": (390, 844)}
TOLD_OTHERWISE = ("Failed to load resource", "WebSocket connection to")
"""What Chromium says of any answer that is no success, and while the relay is away."""


@asynccontextmanager
async def browser_page(width: str, scheme: Any = "light") -> AsyncIterator[Page]:
    """A page of a new browser. It fails where the page complains, or where a request leaves the host."""
    complaints: list[str] = []
    wide, high = WIDTHS[width]
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await browser.new_context(viewport={"width": wide, "height": high}, color_scheme=scheme)
        opened = await context.new_page()
        opened.set_default_timeout(20_000)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("dialog", lambda shown: complaints.append(f"a dialog: {shown.message}"))
        opened.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        opened.on(
            "request", lambda one: None if urlsplit(one.url).hostname == "127.0.0.1" else complaints.append(one.url)
        )
        opened.on("response", lambda one: complaints.append(f"{one.status} {one.url}") if _is_odd(one) else None)
        yield opened
        await browser.close()
    assert [one for one in complaints if not one.startswith(TOLD_OTHERWISE)] == []


def _is_odd(answer: Response) -> bool:
    """True of a file of the page that can't be had: what the API refuses is for the page to tell."""
    return answer.status >= 400 and answer.request.resource_type in ("stylesheet", "script", "image")
