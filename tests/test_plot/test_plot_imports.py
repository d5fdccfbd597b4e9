"""matplotlib comes in when something is drawn, and its absence is told in one sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dualpipe_ref.plot

DRAWING = ("draw_timeline", "draw_comparison", "draw_memory")


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )


def test_the_package_and_traces_need_no_matplotlib() -> None:
    code = (
        "import sys, dualpipe_ref as d, dualpipe_ref.plot as p\n"
        "p.trace_events(d.simulate(d.build('dualpipe', 4, 8))); p.palette('dark')\n"
        "print(sorted({'matplotlib', 'numpy'} & set(sys.modules)))"
    )
    assert run(code).stdout.strip() == "[]"


@pytest.mark.parametrize("name", DRAWING)
def test_without_matplotlib_the_error_says_what_to_install(name: str) -> None:
    code = f"import sys; sys.modules['matplotlib'] = None\nfrom dualpipe_ref.plot import {name}"
    result = run(code)
    assert result.returncode == 1
    assert "pip install -e '.[plot]'" in result.stderr.splitlines()[-1]


def test_drawing_uses_no_window_system() -> None:
    pytest.importorskip("matplotlib")
    code = (
        "import sys, dualpipe_ref as d, dualpipe_ref.plot as p\n"
        "p.draw_timeline(d.simulate(d.build('gpipe', 2, 2)))\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    assert run(code).stdout.strip() == "False"


def test_all_names_are_there() -> None:
    pytest.importorskip("matplotlib")
    for name in dualpipe_ref.plot.__all__:
        assert getattr(dualpipe_ref.plot, name) is not None
    with pytest.raises(AttributeError, match="draw_nothing"):
        dualpipe_ref.plot.draw_nothing  # noqa: B018
