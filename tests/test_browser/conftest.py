"""One browser for these tests, and the built site on a port of this machine, with no way out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.test_project.files import ROOT

from .visit import Site

sys.path.append(str(ROOT / "book" / "_tools"))
from browser import launch_options

# The browser may look up no name at all: a request that leaves the site fails, and is noted besides.
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE viewer.test"


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Chromium without a window. It ends with this folder: others need the event loop for themselves."""
    from playwright.sync_api import sync_playwright

    options = launch_options()
    options["args"].append(NO_NETWORK)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**options)
        yield chromium
        chromium.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="package")
def site(browser: Any) -> Iterator[Site]:
    """The site that make book wrote."""
    folder = ROOT / "_build" / "html"
    assert (folder / "live").is_dir(), "the pages are not built; run make book"
    with serving(folder) as address:
        yield Site(browser, address, folder)


class serving:  # noqa: N801 - used like a function
    """A folder on a free port of this machine, as a context manager that gives the address."""

    def __init__(self, folder: Any) -> None:
        handler = partial(Quiet, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
