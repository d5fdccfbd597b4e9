"""Put the notebooks that need no MyST where the site's download buttons point.

Sphinx puts the text sources there. Usage: python book/_tools/published_notebooks.py SITE
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def publish(site: Path, root: Path = ROOT) -> list[Path]:
    """Copy each paired notebook over the one in `site`/_sources; returns what was written."""
    written = []
    for notebook in [*root.glob("book/*.ipynb"), *root.glob("exercises/*/*.ipynb")]:
        target = site / "_sources" / notebook.relative_to(root)
        if target.parent.is_dir():
            shutil.copy(notebook, target)
            written.append(target)
    return written


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
