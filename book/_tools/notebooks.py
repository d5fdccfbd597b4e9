"""Write beside each text page the notebook that Colab opens and readers download.

    python book/_tools/notebooks.py            write them
    python book/_tools/notebooks.py --check    name the stale ones; exit status 1 if there are any

Colab knows no MyST: included code is written out, admonitions become quotes, roles become plain text.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

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
    names = [toc["root"], *(entry["file"] for entry in toc["chapters"])]
    files = [root / f"{name}.md" for name in names]
    return [file for file in files if "format_name: myst" in file.read_text(encoding="utf-8")]


def as_notebook(source: Path, root: Path) -> str:
    """The page as the text of a notebook, the same for the same source."""
    notebook = jupytext.read(source, fmt="md:myst")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source, source, root)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(INSTALL))
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
    text = re.sub(r"\{doc\}`([^`<]+?) ?<([^`>]+)>`", r"[\1](\2.ipynb)", text)
    text = re.sub(r"\{download\}`([^`<]+?) ?<([^`>]+)>`", r"\1", text)
    return re.sub(r"\{(?:ref|numref|eq|term|abbr)\}`([^`<]+?)(?: ?<[^`>]+>)?`", r"\1", text).strip()


def _quoted(match: re.Match[str]) -> str:
    """An admonition as a quote with a bold title."""
    title = match[2] or match[1].capitalize()
    body = [line for line in match[3].strip().splitlines() if not re.match(r":\w+:", line)]
    return "\n".join([f"> **{title}**", ">", *(f"> {line}".rstrip() for line in body)])


def _included(name: str, options: str, source: Path) -> str:
    """The code between two markers of a source file, as a fenced block."""
    fields = dict(re.findall(r'^:([\w-]+): "?(.*?)"?$', options, flags=re.MULTILINE))
    lines = (source.parent / name).read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if fields["start-after"] in line) + 1
    end = next(i for i, line in enumerate(lines) if i >= start and fields["end-before"] in line)
    code = "\n".join(lines[start:end]).strip("\n")
    return f"```python\n{code}\n```"


if __name__ == "__main__":
    sys.exit(main())
