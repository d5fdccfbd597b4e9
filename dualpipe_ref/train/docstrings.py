"""English text that every Python brings along: the docstrings of its standard library and its help topics.

Modules are parsed, never imported: an import may open a window or a browser. Standard library only.
"""

from __future__ import annotations

import ast
import inspect
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

# Tests, and what is installed beside the standard library, differ from machine to machine.
SKIPPED = {"site-packages", "dist-packages", "test", "tests", "__pycache__", "idle_test"}
SHORTEST = 40  # characters; what is shorter is a label and no sentence


def docstrings_text(library: str | Path | None = None) -> str:
    """All help topics, then all docstrings in the order of their files, each once.

    `library` is a folder of Python modules (default: the standard library of the running Python). The text depends on the
    files alone; another version of Python gives another text.

    >>> import json
    >>> docstrings_text(Path(json.__file__).parent)[:50]
    'JSON (JavaScript Object Notation) <https://json.or'
    """
    folder = Path(library or sysconfig.get_path("stdlib"))
    texts: dict[str, None] = {}  # ordered, and each text once
    for text in (*_topics(folder / "pydoc_data" / "topics.py"), *_docstrings(folder)):
        clean = inspect.cleandoc(text).strip()
        if len(clean) >= SHORTEST:
            texts[clean] = None
    return "\n\n".join(texts) + "\n" if texts else ""


def _topics(file: Path) -> Iterator[str]:
    """The values of the one dictionary in `pydoc_data.topics`, in the order of their names."""
    for node in _parsed(file).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            topics = ast.literal_eval(node.value)
            yield from (topics[name] for name in sorted(topics))


def _docstrings(folder: Path) -> Iterator[str]:
    """Of modules, classes and functions, as they stand in their files."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for file in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        if SKIPPED.isdisjoint(file.relative_to(folder).parts):
            for node in ast.walk(_parsed(file)):
                if isinstance(node, documented):
                    yield ast.get_docstring(node, clean=False) or ""


def _parsed(file: Path) -> ast.Module:
    """An empty module where a file is missing or is no Python of this version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])
