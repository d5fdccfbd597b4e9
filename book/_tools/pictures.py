"""Draw the README's picture, in light and dark. `make notebooks` runs this.

python book/_tools/pictures.py            write them
python book/_tools/pictures.py --check    exit status 1 where one is stale
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import matplotlib

from dualpipe_ref.plot import Theme, draw_comparison, palette
from dualpipe_ref.schedule import build
from dualpipe_ref.simulate import Costs, simulate

FOLDER = Path(__file__).resolve().parents[1] / "_static"
THEMES: tuple[Theme, ...] = ("light", "dark")


def main() -> int:
    """Write or check both pictures."""
    stale = []
    for theme in THEMES:
        path = FOLDER / f"readme_{theme}.svg"
        picture = draw(theme)
        if "--check" not in sys.argv:
            path.write_text(picture, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != picture:
            stale.append(path.name)
    for name in stale:
        print(f"stale: {name}; run make notebooks")
    return 1 if stale else 0


def draw(theme: Theme) -> str:
    """1F1B and DualPipe on the same scale, as SVG text."""
    runs = [simulate(build("1f1b", 8, 20)), simulate(build("dualpipe", 8, 20), Costs(FB=3))]
    labels = ["1F1B", "DualPipe"]
    figure = draw_comparison(runs, theme=theme, labels=labels)
    content = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "dualpipe"}):
        figure.savefig(
            content,
            format="svg",
            facecolor=palette(theme).paper,
            bbox_inches="tight",
            metadata={"Date": None, "Creator": None},
        )
    return content.getvalue()


if __name__ == "__main__":
    sys.exit(main())
