"""Kernels with one planted fault: the source of a module with one text replaced, built again."""

from __future__ import annotations

import inspect
import linecache
from types import ModuleType, SimpleNamespace


def mutated(module: ModuleType, old: str, new: str, **names: object) -> SimpleNamespace:
    """All names of the module after `old` became `new` in its source, wherever it stands, and with other `names` given."""
    source = inspect.getsource(module)
    assert old in source, f"{old!r} does not stand in {module.__name__}"
    file = f"mutant of {module.__name__}: {new!r}"
    changed = source.replace(old, new)
    linecache.cache[file] = (len(changed), None, changed.splitlines(keepends=True), file)
    scope: dict[str, object] = {"__name__": f"{module.__name__}.mutant"}
    exec(compile(changed, file, "exec", dont_inherit=True), scope)
    # Functions look names up in `scope` when they are built, so these replace what the source imported.
    scope.update(names)
    return SimpleNamespace(**scope)
