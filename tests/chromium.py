"""A real Chromium against a live server on the test's own SQLite file. Its fixtures are there for all tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.parts import require

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESKTOP = {"width": 360, "height": 800}, {"width": 1280, "height": 900}

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = require("chromium")
    # Playwright's loop runs in this thread; the ORM calls of a test are not in it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(executable), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, live_server: Any, settings: Any) -> Iterator[OpenPage]:
    """Opens pages; at the end of the test none of them may have complained in its console."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    complaints: list[str] = []
    contexts = []

    def open_one(*, viewport: dict[str, int] = PHONE, scheme: str = "light", javascript: bool = True) -> Page:
        context = browser.new_context(
            viewport=viewport, color_scheme=scheme, java_script_enabled=javascript, base_url=live_server.url
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_one
    for context in contexts:
        context.close()
    # A refusal is a page with a status, which Chromium reports as a resource that failed.
    assert [each for each in complaints if "the server responded with a status of 4" not in each] == []
