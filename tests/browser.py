"""Pages looked at in headless Chromium, as people see them; the pictures are kept in
build/screenshots."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, sync_playwright

PICTURES = Path(__file__).parents[1] / "build" / "screenshots"
WIDTHS = (360, 768, 1280, 1920)
_NAMES = ("chromium-headless-shell", "chromium", "google-chrome", "chromium-browser")
_GRAVE = ("serious", "critical")  # of axe's four


@dataclass(frozen=True)
class Seen:
    """What is wrong with a page at one width and in one scheme; empty if nothing is.

    Attributes:
        requests: addresses that the page asked for, beside its own and pictures that it holds.
        messages: on the console, and errors.
        beyond: pixels by which it is wider than the window.
        faults: of accessibility, as axe names them, the serious ones.
    """

    requests: tuple[str, ...]
    messages: tuple[str, ...]
    beyond: int
    faults: tuple[str, ...]


NOTHING = Seen((), (), 0, ())


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium, of this machine or playwright's own. Without it the tests fail rather than prove
    nothing."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    with sync_playwright() as playwright:
        try:
            # As root, in a container, Chromium's own sandbox cannot be had.
            opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            pytest.fail(f"no Chromium: install it, or playwright's ({error.message[:200]})")
        yield opened
        opened.close()


@contextmanager
def window(chromium: Browser, width: int = 1280, scheme: str = "light") -> Iterator[Page]:
    """An empty page."""
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    yield context.new_page()
    context.close()


def look(chromium: Browser, file: Path, name: str, width: int, scheme: str) -> Seen:
    """Open a page, keep a picture of it, and say what is wrong."""
    requests: list[str] = []
    messages: list[str] = []
    with window(chromium, width, scheme) as page:
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(file.as_uri())
        beyond = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=True)
        found = Axe().run(page).response["violations"]
    return Seen(
        tuple(url for url in requests if url != file.as_uri() and not url.startswith("data:")),
        tuple(messages),
        max(0, int(beyond)),
        tuple(
            f"{each['id']}: {each['nodes'][0]['html']}"
            for each in found
            if each["impact"] in _GRAVE
        ),
    )
