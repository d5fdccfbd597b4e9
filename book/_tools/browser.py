"""A browser without a window, for the tests and for the PDF. Run: python book/_tools/browser.py --install.

Debian's Chromium where it is, or can be installed; else Playwright's own download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
ADVICE = (
    "no browser for the tests of the pages: run `apt-get install chromium` as root,"
    " or `python -m playwright install chromium`"
)
# No window, no visits home; /dev/shm is small in containers.
ARGUMENTS = [
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


class NoBrowserError(Exception):
    """There is no browser; the message names the commands that bring one."""


def launch_options() -> dict[str, Any]:
    """What Playwright's `chromium.launch` needs here. Raises `NoBrowserError`."""
    path = _installed() or _downloaded()
    if path is None:
        raise NoBrowserError(ADVICE)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    # Chromium refuses its own sandbox to root.
    return {"executable_path": path, "args": [*ARGUMENTS, *(["--no-sandbox"] if is_root else [])]}


def _installed() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _downloaded() -> str | None:
    """Playwright's own Chromium, if it has fetched it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """Bring a browser unless there is one. Raises `NoBrowserError` where neither way works."""
    if _installed() or _downloaded():
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        _try(["apt-get", "update", "-qq"])
        _try(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"])
    if not _installed():
        _try([sys.executable, "-m", "playwright", "install", "chromium"])
    launch_options()


def _try(command: list[str]) -> None:
    """Its failure shows in what is still missing afterwards."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    try:
        install()
    except NoBrowserError as error:
        sys.exit(str(error))
