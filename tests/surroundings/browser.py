"""A real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from debian_programs import MissingProgram, environment_of_programs, unpacked_root
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request

#: The program itself: what Debian has in `/usr/bin` is a script that knows one place only.
_PROGRAM = "usr/lib/chromium/chromium"
#: How long the page may take for anything, milliseconds.
PATIENCE = 15_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window; raises MissingProgram."""
    folders = [Path("/"), *filter(None, [unpacked_root()])]
    found = next((folder / _PROGRAM for folder in folders if (folder / _PROGRAM).is_file()), None)
    if found is None:
        raise MissingProgram("chromium")
    with sync_playwright() as playwright, TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=str(found),
            # The tests run as root in containers, where Chromium's sandbox does not start.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
            env={**environment_of_programs(), **_fonts(found, Path(folder))},
        )
        yield browser
        browser.close()


def _fonts(program: Path, folder: Path) -> dict[str, str]:
    """The environment in which a browser that was unpacked finds the fonts that came with it."""
    root = unpacked_root()
    if root is None or not program.is_relative_to(root):
        return {}
    fonts = folder / "fonts.conf"
    fonts.write_text(f"<fontconfig><dir>{root}/usr/share/fonts</dir><cachedir>{folder}/fonts</cachedir></fontconfig>")
    return {"FONTCONFIG_FILE": str(fonts)}


class Tab:
    """A tab that notes everything that a healthy page never does."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self._context = browser.new_context(**options)
        self._context.set_default_timeout(PATIENCE)
        self.page: Page = self._context.new_page()
        #: What the console said, scripts that failed, dialogs, and requests that left the machine.
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        if "127.0.0.1" not in request.url and "localhost" not in request.url:
            self.complaints.append(request.url)

    def follow(self, leads_on: Locator) -> None:
        """Click what leads to another page, and wait until that page is there."""
        with self.page.expect_navigation():
            leads_on.click()

    def close(self) -> None:
        """Close the tab; it must have been healthy."""
        self._context.close()
        assert self.complaints == [], self.complaints
