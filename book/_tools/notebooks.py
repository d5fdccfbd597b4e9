"""Write beside each text page the notebook that Colab opens and readers download.

    python book/_tools/notebooks.py            write them
    python book/_tools/notebooks.py --check    name the stale ones; exit status 1 if there are any

Colab knows no MyST: included code is written out, admonitions become quotes, roles become plain text.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://github.com/dualpipe-ref/dualpipe-ref"

INSTALL = f"""\
# On a hosted notebook: install the package only where it is missing, and leave torch as it is.
try:
    import dualpipe_ref
except ImportError:
    %pip install -q --no-deps git+{REPOSITORY}
"""


def main() -> int:
    """Write or check every page's notebook."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (for tests)")
    options = parser.parse_args()
    stale = []
    for source in pages(options.root):
        target = source.with_suffix(".ipynb")
        text = as_notebook(source, options.root)
        if not options.check:
            target.write_text(text, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != text:
            stale.append(target.relative_to(options.root))
    for path in stale:
        print(f"stale: {path}; run make notebooks")
    return 1 if stale else 0


def pages(root: Path) -> list[Path]:
    """The executable text pages of the table of contents."""
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    files = [root / f"{name}.md" for name in listed(toc)]
    return [file for file in files if "format_name: myst" in file.read_text(encoding="utf-8")]


def listed(entry: dict[str, Any]) -> list[str]:
    """The files that an entry of the table of contents names, those of its parts and sections too.

    >>> listed({"root": "a", "parts": [{"chapters": [{"file": "b", "sections": [{"file": "c"}]}]}]})
    ['a', 'b', 'c']
    """
    own = [entry[key] for key in ("root", "file") if key in entry]
    inner = [part for key in ("parts", "chapters", "sections") for part in entry.get(key, [])]
    return own + [name for part in inner for name in listed(part)]


def as_notebook(source: Path, root: Path) -> str:
    """The page as the text of a notebook, the same for the same source."""
    notebook = jupytext.read(source, fmt="md:myst")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source, source, root)
    install = nbformat.v4.new_code_cell(INSTALL, metadata={"tags": ["remove-cell"]})
    notebook.cells.insert(0, install)
    for place, cell in enumerate(notebook.cells):
        cell.id = f"cell-{place:03d}"
    notebook.metadata.pop("jupytext", None)
    return nbformat.writes(notebook) + "\n"


def plain_markdown(text: str, source: Path, root: Path) -> str:
    """Markdown that any notebook shows: no directives, no roles, no labels.

    >>> plain_markdown("{cite}`c6-chimera` shows it", Path("x.md"), Path("."))
    '[chimera] shows it'
    """
    text = re.sub(
        r"```\{literalinclude\} (\S+)\n(.*?)```",
        lambda match: _included(match[1], match[2], source),
        text,
        flags=re.DOTALL,
    )
    text = re.sub(
        r"^:::\{(\w+)\} ?(.*?)\n(.*?)^:::$", _quoted, text, flags=re.DOTALL | re.MULTILINE
    )
    text = re.sub(r"(?:#+ References\n+)?```\{bibliography\}.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\{cite(?::\w+)?\}`(?:c\d+-)?([^`]+)`", r"[\1]", text)
    text = re.sub(
        r"\]\(((?:\.\./|\w)[\w/]*)\)", lambda match: f"]({_page_file(match[1], source)})", text
    )
    text = re.sub(r"\{doc\}`([^`<]+?) ?<([^`>]+)>`", r"[\1](\2.ipynb)", text)
    text = re.sub(r"\{download\}`([^`<]+?) ?<([^`>]+)>`", r"\1", text)
    return re.sub(r"\{(?:ref|numref|eq|term|abbr)\}`([^`<]+?)(?: ?<[^`>]+>)?`", r"\1", text).strip()


def _page_file(name: str, source: Path) -> str:
    """The file that a link to a page means outside the book: its notebook if it has one."""
    page = source.parent / f"{name}.md"
    if not page.exists():
        return name
    return name + (".ipynb" if "format_name: myst" in page.read_text(encoding="utf-8") else ".md")


def _quoted(match: re.Match[str]) -> str:
    """An admonition as a quote with a bold title."""
    title = match[2] or match[1].capitalize()
    body = [line for line in match[3].strip().splitlines() if not re.match(r":\w+:", line)]
    return "\n".join([f"> **{title}**", ">", *(f"> {line}".rstrip() for line in body)])


def _included(name: str, options: str, source: Path) -> str:
    """The function or class that a literalinclude names, as a fenced block."""
    wanted = dict(re.findall(r"^:([\w-]+): (.*)$", options, flags=re.MULTILINE))["pyobject"]
    text = (source.parent / name).read_text(encoding="utf-8")
    nodes = [node for node in ast.parse(text).body if getattr(node, "name", None) == wanted]
    if len(nodes) != 1:
        raise ValueError(
            f"{source.name} includes {wanted} of {name}, which defines it {len(nodes)} times"
        )
    code = "\n".join(text.splitlines()[nodes[0].lineno - 1 : nodes[0].end_lineno])
    return f"```python\n{code}\n```"


if __name__ == "__main__":
    sys.exit(main())
