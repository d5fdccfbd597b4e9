"""Where there is no browser, or the node packages are missing, the message names the command that brings them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_project.files import ROOT

sys.path.append(str(ROOT / "book" / "_tools"))
import browser as browser_tool
import live_files


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A machine without a browser; returns the commands that would have installed one."""
    tried: list[list[str]] = []
    monkeypatch.setattr(browser_tool, "_installed", lambda: None)
    monkeypatch.setattr(browser_tool, "_downloaded", lambda: None)
    monkeypatch.setattr(browser_tool, "_try", tried.append)
    return tried


def test_without_a_browser_the_tests_fail_and_name_the_command(nowhere: list[list[str]]) -> None:
    with pytest.raises(browser_tool.NoBrowserError, match="apt-get install chromium"):
        browser_tool.launch_options()


def test_both_ways_are_tried_before_that(
    nowhere: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser_tool.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(browser_tool.os, "geteuid", lambda: 0, raising=False)
    with pytest.raises(browser_tool.NoBrowserError, match="playwright install chromium"):
        browser_tool.install()
    assert [command[0] for command in nowhere] == ["apt-get", "apt-get", sys.executable]


def test_without_root_only_the_download_is_tried(
    nowhere: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser_tool.os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(browser_tool.NoBrowserError):
        browser_tool.install()
    assert [command[1:] for command in nowhere] == [["-m", "playwright", "install", "chromium"]]


def test_debians_chromium_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_tool, "_installed", lambda: "/usr/bin/chromium")
    monkeypatch.setattr(browser_tool, "_downloaded", lambda: "/cache/chrome")
    assert browser_tool.launch_options()["executable_path"] == "/usr/bin/chromium"


def test_missing_node_packages_are_named(tmp_path: Path) -> None:
    with pytest.raises(live_files.NotInstalledError, match="run make book"):
        live_files.write_live(tmp_path / "live", node=tmp_path)


def test_the_archive_is_the_same_every_time_and_gives_no_answer_away() -> None:
    archive = live_files.package_archive()
    assert archive == live_files.package_archive()
    names = {name for name, _ in live_files._packed(ROOT)}
    assert "dualpipe_ref/exercises/ch03/checks.py" in names
    assert not [name for name in names if "/wrong/" in name]


def test_the_packages_are_the_locked_ones() -> None:
    """What the pages are served is what package-lock.json names."""
    command = ["npm", "ls", "--json", "--depth=0"]
    path = os.pathsep.join([os.environ["PATH"], str(Path(sys.executable).parent)])
    listed = subprocess.run(
        command,
        cwd=ROOT / "book",
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": path},
    )
    found = {
        name: one["version"] for name, one in json.loads(listed.stdout)["dependencies"].items()
    }
    lock = json.loads((ROOT / "book" / "package-lock.json").read_text())["packages"]
    assert found == {name: lock[f"node_modules/{name}"]["version"] for name in found}
    assert set(found) == {"axe-core", "mathjax", "pyodide"}
