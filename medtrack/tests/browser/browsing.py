"""A real browser before the real product: what goes wrong on a page fails the test, and every look is kept as a picture.

Tests wait for what they expect to see, never for a time.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from medtrack.tests.support.running_product import ROOT

SCREENSHOTS = ROOT / "var" / "screenshots"
PATIENCE_MS = 30_000
DESKTOP, PHONE = (1280, 860), (390, 844)
LOOKS: tuple[tuple[str, Literal["light", "dark"], tuple[int, int]], ...] = (
    ("light", "light", DESKTOP),
    ("dark", "dark", DESKTOP),
    ("phone", "light", PHONE),
)
# Otherwise axe asks for stylesheets by itself, and for an address that is empty for the page once more.
AXE = {"resultTypes": ["violations"], "preload": False}
SEVERE = {"serious", "critical"}
MISSING = "The browser tests need chromium: install it (on Debian: apt-get install chromium) and try again."
# Pages are served from this machine, and nothing on them may come from another.
ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"]
TELL_VIOLATIONS = """
    document.addEventListener('securitypolicyviolation', (event) =>
        console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""

expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's; Playwright's own are never downloaded."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail(MISSING, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


class Watch:
    """Everything that went wrong on any page: console errors, exceptions, failed requests, broken policy."""

    def __init__(self, context: BrowserContext) -> None:
        self._problems: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        context.add_init_script(TELL_VIOLATIONS)
        context.on("console", self._hear)
        context.on("weberror", lambda problem: self._problems.append(f"exception: {problem.error}"))
        context.on("requestfailed", self._note_failed)

    def expect(self, pattern: str) -> None:
        """Problems like this are what the test is about, or are allowed to happen in it."""
        self._expected.append(re.compile(pattern))

    def problems(self) -> list[str]:
        return [
            problem
            for problem in self._problems
            if not any(expected.search(problem) for expected in self._expected)
        ]

    def look(self, page: Page, name: str) -> None:
        """Pictures in light and dark, and as on a phone; what axe finds serious on them is a problem."""
        before = page.viewport_size
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        for variant, scheme, (width, height) in LOOKS:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": height})
            # Hiding the caret or stopping animations would be inline styles, which our pages forbid.
            page.screenshot(path=SCREENSHOTS / f"{name}-{variant}.png", full_page=True, caret="initial")
            self._problems += [f"{name}, {variant}: {fault}" for fault in faults(page)]
        page.emulate_media(color_scheme="light")
        if before:
            page.set_viewport_size(before)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._problems.append(f"console: {message.text} {message.location.get('url', '')}")

    def _note_failed(self, request: Request) -> None:
        # Whatever is under way when a page is left is given up.
        if request.failure != "net::ERR_ABORTED":
            self._problems.append(f"request: {request.method} {request.url} {request.failure}")


def faults(page: Page) -> list[str]:
    """What axe finds serious or critical, with where it is."""
    found: list[dict[str, Any]] = Axe().run(page, options=AXE).response["violations"]
    return [
        f"{violation['id']}: {violation['help']}: {node['html']}"
        for violation in found
        if violation["impact"] in SEVERE
        for node in violation["nodes"]
    ]
