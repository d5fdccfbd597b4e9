"""Faults planted in the shipped kernels: a function gets the code of its own text with a part of it changed, until a test ends."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent
from types import FunctionType
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """What goes wrong: in the text of a kernel's function, `old`, which must be there, becomes `new` wherever it is."""

    name: str
    function: Any
    old: str
    new: str = ""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Whoever calls the function calls the faulty one."""
        function, code = self.function, self.function.__code__
        assert isinstance(function, FunctionType)
        text = dedent(inspect.getsource(function))
        assert self.old in text, f"{function.__name__} has no {self.old!r}"
        changed, file = text.replace(self.old, self.new), f"{function.__name__}: {self.name}"
        linecache.cache[file] = (len(changed), None, changed.splitlines(keepends=True), file)
        scope = dict(function.__globals__)
        exec(compile(changed, file, "exec"), scope)
        function.__code__ = scope[function.__name__].__code__
        try:
            yield
        finally:
            function.__code__ = code
