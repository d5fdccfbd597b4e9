"""The modules in web/ can be joined: one scope, no import left, and every module in it."""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources

import pytest

from dualpipe_ref.plot.bundle import bundle

ENTRIES = ("viewer.js", "ledger.js", "lanes.js", "packets.js", "ring.js")
MODULES = sorted(
    path.name
    for path in resources.files("dualpipe_ref.plot").joinpath("web").iterdir()
    if path.name.endswith(".js")
)
TOP = re.compile(r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", re.MULTILINE)


def names_used_twice(code: str) -> list[str]:
    return [name for name, count in Counter(TOP.findall(code)).items() if count > 1]


@pytest.mark.parametrize("name", ENTRIES)
def test_a_bundle_is_one_module(name: str) -> None:
    code = bundle(name)
    assert not re.search(r"^\s*import\b", code, re.MULTILINE)
    assert code.count("export default") == 1
    assert names_used_twice(code) == []


def test_a_name_used_twice_is_seen() -> None:
    assert names_used_twice(bundle("viewer.js") + "\nconst MARGIN = 1;") == ["MARGIN"]


def test_every_module_is_in_one_of_them() -> None:
    def names(code: str) -> set[str]:
        return set(TOP.findall(code))

    joined = set().union(*(names(bundle(name)) for name in ENTRIES))
    for module in MODULES:
        source = resources.files("dualpipe_ref.plot").joinpath("web", module).read_text("utf-8")
        assert names(source) <= joined, module


def test_modules_are_short() -> None:
    for module in MODULES:
        source = resources.files("dualpipe_ref.plot").joinpath("web", module).read_text("utf-8")
        assert source.count("\n") <= 330, module
