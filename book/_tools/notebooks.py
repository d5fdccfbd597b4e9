"""Write beside each text page the notebook that Colab opens and readers download.

    python book/_tools/notebooks.py            write them
    python book/_tools/notebooks.py --check    name the stale ones; exit status 1 if there are any

A chapter's cells stay cells. In an exercise the place of the answer becomes two: the skeleton, made
from the solution, and the call that checks it.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode
from plain_markdown import has_notebook, plain_markdown

from dualpipe_ref.grading.skeleton import skeleton_of

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://github.com/dualpipe-ref/dualpipe-ref"

INSTALL = f"""\
# On a hosted notebook: install the package only where it is missing, and leave torch as it is.
try:
    import dualpipe_ref
except ImportError:
    %pip install -q --no-deps git+{REPOSITORY}
    %pip install -q anywidget
"""
ANSWER = re.compile(r"^```\{answer\} (ch\d\d)\n```$", re.MULTILINE)
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def main() -> int:
    """Write or check every page's notebook."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (for tests)")
    options = parser.parse_args()
    stale = []
    for source in pages(options.root):
        target = source.with_suffix(".ipynb")
        text = as_notebook(source)
        if not options.check:
            target.write_text(text, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != text:
            stale.append(target.relative_to(options.root))
    for path in stale:
        print(f"stale: {path}; run make notebooks")
    return 1 if stale else 0


def pages(root: Path) -> list[Path]:
    """The pages of the table of contents that are notebooks too."""
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    files = [root / f"{name}.md" for name in listed(toc)]
    return [file for file in files if has_notebook(file.read_text(encoding="utf-8"))]


def listed(entry: dict[str, Any]) -> list[str]:
    """The files that an entry of the table of contents names, those of its parts and sections too.

    >>> listed({"root": "a", "parts": [{"chapters": [{"file": "b", "sections": [{"file": "c"}]}]}]})
    ['a', 'b', 'c']
    """
    own = [entry[key] for key in ("root", "file") if key in entry]
    inner = [part for key in ("parts", "chapters", "sections") for part in entry.get(key, [])]
    return own + [name for part in inner for name in listed(part)]


def as_notebook(source: Path) -> str:
    """The page as the text of a notebook, the same for the same source."""
    text = source.read_text(encoding="utf-8")
    notebook = _exercise(text, source) if ANSWER.search(text) else _chapter(source)
    install = nbformat.v4.new_code_cell(INSTALL, metadata={"tags": ["remove-cell"]})
    notebook.cells.insert(0, install)
    for place, cell in enumerate(notebook.cells):
        cell.id = f"cell-{place:03d}"
    return nbformat.writes(notebook) + "\n"


def _chapter(source: Path) -> NotebookNode:
    notebook = jupytext.read(source, fmt="md:myst")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source, source)
    notebook.metadata.pop("jupytext", None)
    return notebook


def _exercise(text: str, source: Path) -> NotebookNode:
    """The task, the skeleton as a cell to write in, the check, and what follows it on the page."""
    _, page = text.split("---\n", 2)[1:] if text.startswith("---\n") else ("", text)
    before, name, after = ANSWER.split(page)
    skeleton = skeleton_of(source.parent / "solution.py").strip()
    check = f'from dualpipe_ref.grading import check\n\ncheck("{name}")'
    cells = [
        nbformat.v4.new_markdown_cell(plain_markdown(before, source)),
        nbformat.v4.new_code_cell(skeleton),
        nbformat.v4.new_code_cell(check),
        nbformat.v4.new_markdown_cell(plain_markdown(after, source)),
    ]
    own = {"kernelspec": KERNEL, "dualpipe_ref": {"exercise": name}}
    return nbformat.v4.new_notebook(cells=cells, metadata=own)


if __name__ == "__main__":
    sys.exit(main())
