"""Gather what the pages load while they are read: the folder `live` of the site.

Modules of the page and of the package's viewer, Python for the browser, the package as one archive, and
MathJax. All of it is served by the site itself.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "book" / "node_modules"
PYODIDE = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)
MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")
# Of the package and the exercises: code, texts, and the data of the planner.
PACKED = (".py", ".md", ".json")
# The least time that a zip archive can name: the same sources give the same bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)


class NotInstalledError(Exception):
    """The node packages are not there; the message says what makes them."""


def write_live(target: Path, root: Path = ROOT, node: Path = NODE) -> None:
    """Fill the folder `target`. Raises `NotInstalledError` without book/node_modules."""
    for package in ("pyodide", "mathjax"):
        if not (node / package).is_dir():
            raise NotInstalledError(
                f"{node / package} is missing; run make book, which installs it"
            )
    shutil.rmtree(target, ignore_errors=True)
    only_scripts = shutil.ignore_patterns("*.py", "__pycache__")
    shutil.copytree(root / "book" / "_live", target, ignore=only_scripts)
    shutil.copytree(root / "dualpipe_ref" / "plot" / "web", target / "view")
    (target / "dualpipe_ref.zip").write_bytes(package_archive(root))
    _copy_all(node / "pyodide", PYODIDE, target / "pyodide")
    _copy_all(node / "mathjax" / "es5", MATHJAX, target / "mathjax")


def package_archive(root: Path = ROOT) -> bytes:
    """The package, its exercises inside it, and the page's glue, as a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in sorted(_packed(root)):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _packed(root: Path) -> Iterator[tuple[str, Path]]:
    yield "page_glue.py", root / "book" / "_live" / "page_glue.py"
    for folder, inside in (("dualpipe_ref", ""), ("exercises", "dualpipe_ref/")):
        for file in (root / folder).rglob("*"):
            # Answers that must be rejected are for the tests; solutions make the skeletons.
            if file.suffix in PACKED and not {"wrong", "recorded"} & set(file.parts):
                yield inside + str(file.relative_to(root)), file


def _copy_all(source: Path, names: tuple[str, ...], target: Path) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        else:
            shutil.copy(source / name, target / name)
