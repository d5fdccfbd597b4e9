"""Which module imports which, read from the source without importing anything."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = "dualpipe_ref"
# A folder imports only from itself and from folders listed before it; the modules beside the
# folders (cli.py, doctor.py, ...) stand on top of all of them.
FOLDERS = (
    "schedule",
    "simulate",
    "search",
    "comm",
    "plot",
    "published",
    "hopper",
    "model",
    "runtime",
    "train",
    "grading",
    "bench",
)
TOP = len(FOLDERS)
# These run where nothing but Python is installed.
STANDARD_LIBRARY_ONLY = (
    "schedule",
    "simulate",
    "comm/protocol",
    "published",
    "grading",
    "cli.py",
    "schedule_commands.py",
    "doctor.py",
    "__init__.py",
)


class Import(NamedTuple):
    """One imported module, where it is imported, and whether that happens as the file is loaded."""

    module: str
    line: int
    at_load: bool


def imports_of(file: Path, package: Path) -> list[Import]:
    """Every import of a file, those inside functions and under TYPE_CHECKING too."""
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    location = file.relative_to(package.parent).with_suffix("").parts
    return list(_walk(tree, location, at_load=True))


def _walk(node: ast.AST, location: tuple[str, ...], at_load: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for module in _modules(child, location):
            yield Import(module, child.lineno, at_load)
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for inner in child.body:
                yield from _walk(ast.Module([inner], []), location, at_load=False)
            yield from _walk(ast.Module(child.orelse, []), location, at_load)
        else:
            lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(child, location, at_load and not lazy)


def _modules(node: ast.AST, location: tuple[str, ...]) -> list[str]:
    """The modules that one node names: an import statement, or a string that names one of ours."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = ".".join([*(location[: -node.level] if node.level else ()), node.module or ""])
        # `from dualpipe_ref import doctor` names the module dualpipe_ref.doctor.
        return [f"{base.strip('.')}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        # import_module("dualpipe_ref.plot.timeline"), or such names in a table for it
        dotted = node.value.startswith(f"{PACKAGE}.") and node.value.replace(".", "").isidentifier()
        return [node.value] if dotted else []
    return []


def layer(part: str, package: Path) -> int | None:
    """How high a folder or module of the package stands; None where the list does not name it."""
    if part in FOLDERS:
        return FOLDERS.index(part)
    return None if (package / part).is_dir() else TOP


def upward_imports(package: Path) -> list[str]:
    """The imports that go up, and the folders that no one gave a place, as sentences."""
    found = []
    for file in sorted(package.rglob("*.py")):
        part = file.relative_to(package).parts[0].removesuffix(".py")
        own = layer(part, package)
        if own is None:
            found.append(f"{file}: folder {part} has no place in the order {', '.join(FOLDERS)}")
            continue
        for module, line, _ in imports_of(file, package):
            target = _part_of(module, package)
            height = None if target is None else layer(target, package)
            if height is not None and height > own:
                found.append(f"{file}:{line}: {part} imports {module}, which stands above it")
    return found


def _part_of(module: str, package: Path) -> str | None:
    """The folder or top module that an import reaches; None for other packages and for the root."""
    names = module.split(".")
    if names[0] != PACKAGE or len(names) < 2:
        return None
    is_ours = (package / names[1]).is_dir() or (package / f"{names[1]}.py").exists()
    return names[1] if is_ours or names[1] in FOLDERS else None


def foreign_imports(package: Path) -> list[str]:
    """Imports from outside the standard library that happen as a core module is loaded."""
    found = []
    for part in STANDARD_LIBRARY_ONLY:
        path = package / part
        for file in [path] if path.suffix else sorted(path.rglob("*.py")):
            for module, line, at_load in imports_of(file, package):
                name = module.partition(".")[0]
                if at_load and name != PACKAGE and name not in sys.stdlib_module_names:
                    found.append(f"{file}:{line}: imports {module} as it is loaded")
    return found
