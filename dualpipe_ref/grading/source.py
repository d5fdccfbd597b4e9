"""Find an answer in what a reader hands in: a Python file, or a notebook in any state."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualpipe_ref.grading.limits import ALLOWED_MODULES
from dualpipe_ref.schedule.errors import InputError

FUTURE = "from __future__ import annotations"
LARGEST = 16 << 20  # bytes; a notebook full of pictures is smaller
MAGIC = re.compile(r"^(\s*)(?:[%!?].*|[\w.]+\?\??\s*)$")


@dataclass(frozen=True)
class Source:
    """The text of an answer, and what a reader should know of where it comes from."""

    text: str
    notes: tuple[str, ...] = ()


def answer_source(path: Path, names: Iterable[str]) -> Source:
    """The answer in this file: all of a .py, and of an .ipynb what defines `names` and what that needs.

    Raises `InputError` for a file that cannot be read as one of these.

    >>> answer_source(Path("none.py"), ["f"])
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: an answer is a Python file or a notebook; got none.py: No such file or directory
    """
    text = _text(path)
    if path.suffix == ".ipynb":
        return source_of(cells_of(_notebook(path, text)), names)
    return Source(text)


def notebook_exercise(path: Path) -> str | None:
    """The exercise that a notebook says it belongs to, in its metadata."""
    metadata = _notebook(path, _text(path)).get("metadata")
    ours = metadata.get("dualpipe_ref") if type(metadata) is dict else None
    name = ours.get("exercise") if type(ours) is dict else None
    return name if type(name) is str else None


def _text(path: Path) -> str:
    rule = "an answer is a Python file or a notebook"
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise InputError(f"{rule} of at most {LARGEST >> 20} MiB", str(path))
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise InputError(rule, f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(rule, f"{path}, which is no UTF-8 text: {error.reason}") from None


def _notebook(path: Path, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("a notebook is JSON", f"{path}: {error}") from None
    if type(content) is not dict or type(content.get("cells")) is not list:
        raise InputError("a notebook has a list of cells", str(path))
    return content


def cells_of(notebook: dict[str, Any]) -> list[str]:
    """The texts of the code cells; what is no cell is passed over.

    >>> cells_of({"cells": [{"cell_type": "code", "source": ["x = 1\\n", "y = 2"]}, {"cell_type": "markdown"}, 7]})
    ['x = 1\\ny = 2']
    """
    found = []
    for cell in notebook["cells"]:
        if type(cell) is dict and cell.get("cell_type") == "code":
            lines = cell.get("source", "")
            lines = lines if type(lines) is list else [lines]
            found.append("".join(line for line in lines if type(line) is str))
    return found


def source_of(cells: Sequence[str], names: Iterable[str]) -> Source:
    """The statements of these cells, in their order, that define `names` and all that these need.

    Where a name is defined more than once the last one counts, as it would in the notebook. Magic
    lines, and statements that nothing needs (calls, plots, checks), are left out. A cell that is no
    Python is left out too, unless it begins to define one of `names`: then its error is the answer's.

    >>> cells = ["import math\\nprint('hello')", "%time f(3)\\ndef f(x):\\n    return math.tau * x"]
    >>> print(source_of(cells, ["f"]).text)
    import math
    <BLANKLINE>
    <BLANKLINE>
    def f(x):
        return math.tau * x
    """
    wanted, parsed, broken, notes = list(names), [], {}, []
    for number, cell in enumerate(map(_without_magic, cells), start=1):
        try:
            parsed.append((cell, ast.parse(cell).body))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            broken[number] = cell
            said = getattr(error, "msg", str(error))
            notes.append(f"code cell {number} is left out, it is no Python: {said}")
    defined = {name for _, body in parsed for statement in body for name in _binds(statement)}
    for number, cell in broken.items():
        if any(name not in defined and _begins(cell, name) for name in wanted):
            return Source(cell, (f"line numbers count in code cell {number}",))
    return _sliced(parsed, wanted, notes)


def _begins(cell: str, name: str) -> bool:
    """Whether this text, which is no Python, looks as if it were to define `name`."""
    return bool(re.search(rf"^\s*def\s+{re.escape(name)}\b", cell, re.MULTILINE))


def _without_magic(cell: str) -> str:
    """The cell with its magic lines blank; all of it where a `%%` makes it another language."""
    lines = cell.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") and not first.startswith(("%%time", "%%capture", "%%prun")):
        return ""
    # A block that had nothing else in it needs a statement.
    return "\n".join(MAGIC.sub(r"\1pass", line) for line in lines)


def _sliced(
    parsed: Sequence[tuple[str, list[ast.stmt]]], names: list[str], notes: list[str]
) -> Source:
    """Only the lines of statements that are needed; the others are blank, so that lines keep their numbers."""
    statements = _newest([statement for _, body in parsed for statement in body])
    needed = _needed(statements, names)
    texts = []
    for cell, body in parsed:
        kept: set[int] = set()
        for statement in body:
            if statement in needed:
                kept.update(range(_first_line(statement) - 1, statement.end_lineno or 0))
        if kept:
            lines = enumerate(cell.split("\n"))
            texts.append("\n".join(line if at in kept else "" for at, line in lines).rstrip())
    if len(texts) > 1:
        notes.append(f"line numbers count over the {len(texts)} cells that the answer needs")
    text = "\n".join(texts)
    return Source(_with_future(text) if any(map(_is_future, statements)) else text, tuple(notes))


def _newest(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Without functions and classes that were defined anew later, where nothing else binds their name."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    last: dict[str, ast.stmt] = {}
    others: set[str] = set()
    for statement in statements:
        if isinstance(statement, definitions):
            last[statement.name] = statement
        else:
            others |= _binds(statement)
    return [
        statement
        for statement in statements
        if not isinstance(statement, definitions)
        or statement.name in others
        or last[statement.name] is statement
    ]


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _with_future(text: str) -> str:
    """Python asks for such an import on top. That line is usually free: it is where it stood."""
    first, _, rest = text.partition("\n")
    return f"{FUTURE}\n{text if first.strip() else rest}"


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _needed(statements: list[ast.stmt], names: list[str]) -> set[ast.stmt]:
    """Those that bind `names`, or a name that one of these reads, and so on."""
    needed = {statement for statement in statements if _binds_unknown(statement)}
    open_names, seen = list(names), set(names)
    while open_names:
        name = open_names.pop()
        for statement in statements:
            if statement in needed or name not in _binds(statement):
                continue
            needed.add(statement)
            fresh = set(_reads(statement)) - seen
            seen |= fresh
            open_names += fresh
    return {statement for statement in needed if not _is_future(statement)}


def _binds_unknown(statement: ast.stmt) -> bool:
    """`from math import *` may bring any name; from what an answer may not import it is left out."""
    return (
        isinstance(statement, ast.ImportFrom)
        and statement.names[0].name == "*"
        and statement.module in ALLOWED_MODULES
    )


def _binds(statement: ast.stmt) -> set[str]:
    """The names that a statement gives a value at the top level, or changes: `table[0] = 1`, `table.append(1)`."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Expr):
        return _changed(statement.value)
    return set(_bound(statement))


def _changed(value: ast.expr) -> set[str]:
    """`table` in `table.append(1)`: what a method is called on. A function call changes nothing that we know of."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        root: ast.expr = value.func.value
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        return {root.id} if isinstance(root, ast.Name) else set()
    return set()


def _bound(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import | ast.ImportFrom):
            for alias in inner.names:
                yield (alias.asname or alias.name).partition(".")[0]
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield inner.name
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id
        elif isinstance(inner, ast.Subscript | ast.Attribute) and isinstance(inner.ctx, ast.Store):
            root: ast.expr = inner
            while isinstance(root, ast.Subscript | ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name):
                yield root.id


def _reads(statement: ast.stmt) -> Iterator[str]:
    for inner in ast.walk(statement):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
            yield inner.id
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield from re.findall(r"^\w+$", inner.value)  # a type in quotes
