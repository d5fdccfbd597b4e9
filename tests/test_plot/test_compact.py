"""A compacted picture draws the same: the same elements, paths, styles and references."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from dualpipe_ref import Costs, build, simulate
from dualpipe_ref.plot import draw_timeline, page
from dualpipe_ref.plot.page import compact, show

TIMELINE = simulate(build("dualpipe", 4, 8), Costs(FB=3))


def drawn(monkeypatch: pytest.MonkeyPatch, compacted: bool) -> list[str]:
    if not compacted:
        monkeypatch.setattr(page, "compact", lambda svg, prefix: svg)
    shown = show(lambda theme: draw_timeline(TIMELINE, theme=theme), "a timeline").data
    monkeypatch.undo()
    return re.findall(r"<svg.*?</svg>", shown, flags=re.DOTALL)


def elements(svg: str) -> list[tuple[str, dict[str, Any]]]:
    """Tag, and every attribute as what it means, of each element but the added <style>."""
    root = ET.fromstring(svg)
    rules = dict(re.findall(r"\.(\w+)\{([^}]*)\}", svg))
    targets = {one.get("id"): one for one in root.iter() if one.get("id")}
    found = []
    for one in root.iter():
        if one.tag == "style":
            continue
        meant: dict[str, Any] = {"style": one.get("style") or rules.get(one.get("class"))}
        for name in ("d", "transform", "x", "y"):
            text = one.get(name) or ""
            meant[name] = re.findall(r"[A-Za-z]|-?\d+\.?\d*", text)
        for name in ("href", "clip-path"):
            target = re.sub(r"^url\(|^#|\)$", "", one.get(name) or "").lstrip("#")
            meant[name] = targets[target].tag if target else None
        found.append((one.tag, meant))
    return found


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    try:
        return float(one) == pytest.approx(float(other), rel=1e-4, abs=1e-4)
    except (TypeError, ValueError):
        return one == other


def test_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = drawn(monkeypatch, False), drawn(monkeypatch, True)
    assert len(before) == len(after) == 2
    assert sum(map(len, after)) < 0.8 * sum(map(len, before))
    for plain, small in zip(map(elements, before), map(elements, after), strict=True):
        assert [tag for tag, _ in plain] == [tag for tag, _ in small]
        for (_, one), (_, other) in zip(plain, small, strict=True):
            for name in one:
                assert alike(one[name], other[name]), (name, one[name], other[name])


def test_two_pictures_share_no_name() -> None:
    light, dark = drawn(pytest.MonkeyPatch(), True)
    names = [set(re.findall(r'(?:id|class)="([^"]*)"', svg)) for svg in (light, dark)]
    assert names[0]
    assert not names[0] & names[1]


def test_a_lost_reference_would_be_seen() -> None:
    """The planted fault: a picture in which a name is forgotten."""
    svg = '<svg><path id="a" d="M 0 0"/><use href="#a"/></svg>'
    assert elements(compact(svg, "p"))[2][1]["href"] == "path"
    with pytest.raises(KeyError):
        elements(compact(svg, "p").replace(' id="p0"', ""))
