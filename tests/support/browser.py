"""Pages of the query service in a real Chromium."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import WSGIApplication

from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
"""The program; None where there is none."""

NO_CHROMIUM = "no chromium on the PATH (on Debian: apt-get install chromium)"
"""Why tests are skipped."""

_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


# How soon a page has something is the machine's affair: others may have its cores.
expect.set_options(timeout=30_000)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def served(app: WSGIApplication) -> Iterator[str]:
    """Serve an app on a port of this machine; give its URL."""
    server = make_server("127.0.0.1", 0, app, _Server, _Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser, and end it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()


class Watched:
    """What a page did besides what is seen.

    Attributes:
        page: The page.
        faults: Errors on its console, and such that nobody caught.
        urls: What it asked for.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self.urls: list[str] = []
        page.on("console", lambda each: self._note(each.type, each.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self.urls.append(request.url))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(text)

    def asked(self, part: str) -> list[str]:
        """Return the URLs that it asked for and that have this part."""
        return [url for url in self.urls if part in url]
