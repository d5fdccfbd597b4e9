"""The pages of the book and the notebooks beside them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import yaml

from .files import ROOT

SCRIPT = ROOT / "book" / "_tools" / "notebooks.py"
# What MyST reads and a plain notebook shows raw: a role, a fenced directive, a label, an admonition.
RAW = re.compile(r"\{[\w:-]+\}`|^\s*`{3,}\{|^:{3,}|^\([\w-]+\)=$", re.MULTILINE)


def copy_of_the_book(target: Path) -> Path:
    """A checkout that holds what the notebooks are made of."""
    ignored = shutil.ignore_patterns("_build", "_downloads", "__pycache__", ".ipynb_checkpoints")
    for name in ("book", "dualpipe_ref", "exercises"):
        shutil.copytree(ROOT / name, target / name, ignore=ignored)
    shutil.copy(ROOT / "_toc.yml", target)
    return target


def toc_files(toc: Path) -> list[str]:
    """Every file that a table of contents names, at any depth."""

    def walk(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node[key] for key in ("root", "file") if key in node]
            return own + [file for value in node.values() for file in walk(value)]
        return [file for entry in node for file in walk(entry)] if isinstance(node, list) else []

    return walk(yaml.safe_load(toc.read_text()))


def toc_faults(root: Path) -> list[str]:
    """Entries without a page, and pages without an entry, which readers would never find."""
    listed = set(toc_files(root / "_toc.yml"))
    there = {str(page.relative_to(root).with_suffix("")) for page in root.glob("book/*.md")}
    missing = [f"_toc.yml: no page {name}.md" for name in sorted(listed) if not _page(root, name)]
    return missing + [f"{name}.md is not in _toc.yml" for name in sorted(there - listed)]


def _page(root: Path, name: str) -> bool:
    return (root / f"{name}.md").is_file()


def raw_markup(notebook: Path) -> list[str]:
    """The MyST that a notebook's text still holds."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return [f"{notebook.name}: {match[0]}" for text in texts for match in RAW.finditer(text)]
