"""Pages in Debian's Chromium; no other module knows how a browser is started or watched.

A locator finds its element anew at each step and waits until it can be acted on, so a page may redraw at any time.
Each visit has a context of its own: storage, screen and messages of one test never reach another. Waits end as soon
as what they wait for is there; their length is only how long a broken page is given.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

PATIENCE = 90_000
"""Milliseconds after which a page that does not get there is called broken, on a loaded machine too."""
FLAGS = (
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"

expect.set_options(timeout=PATIENCE)


@dataclass
class Visit:
    """A page and what happened in its context: errors that it reported, addresses that it asked for over a network."""

    page: Page
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> set[str]:
        return {address.split("/")[2] for address in self.asked}


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser; its processes end with the block, or with this process."""
    path = shutil.which("chromium")
    assert path, "the tests of pages need Chromium: `make browser` installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=2 * PATIENCE)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(browser: Browser, **settings) -> Iterator[Visit]:
    """A new page in a new context (``settings`` are Playwright's: viewport, colour scheme, touch, …)."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 1000}, **settings})
    try:
        context.set_default_timeout(PATIENCE)
        found = Visit(context.new_page())
        context.on("console", lambda said: found.errors.append(said.text) if said.type == "error" else None)
        context.on("weberror", lambda thrown: found.errors.append(str(thrown.error)))
        found.page.on("crash", lambda _: found.errors.append("the page crashed"))
        context.on("request", lambda request: _note(found, request.url))
        found.page.on("websocket", lambda socket: _note(found, socket.url))
        context.on("page", lambda other: other.on("websocket", lambda socket: _note(found, socket.url)))
        yield found
    finally:
        context.close()


def _note(found: Visit, address: str) -> None:
    if address.startswith(("http:", "https:", "ws:", "wss:")):
        found.asked.append(address)


@contextmanager
def quiet_visit(browser: Browser, **settings) -> Iterator[Visit]:
    """A visit that ends without an error in the console and has asked nobody for anything."""
    with visit(browser, **settings) as found:
        yield found
        found.page.evaluate(DRAWN)  # what the page says until now has arrived
        assert found.errors == []
        assert found.asked == []


def at_rest(page: Page) -> None:
    """Wait until nothing is loaded any more and what was scheduled is drawn: the next step meets this drawing."""
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    page.evaluate(DRAWN)


def all_texts(locator: Locator) -> list[str]:
    """Shown texts of all elements, read in one step."""
    return locator.evaluate_all("(found) => found.map((element) => element.innerText)")
