"""Which lines of the kernels ran, and which roles had to wait."""

from __future__ import annotations

import sys
from collections import Counter
from types import CodeType, FrameType
from typing import Any

from dualpipe_ref.comm.transport.emulated.places import HERE, kernel_frame


class Coverage:
    """What was reached by all launches since it was made.

    `lines`: for each kernel function ("module.function") the line numbers that ran. `stalls`: how often a role
    `(role, word)` napped in a wait because what it waited for was not there yet; (None, None) outside of a known wait.
    `events`: how often a named event happened, for example "ring wrapped".
    """

    def __init__(self) -> None:
        self.lines: dict[str, set[int]] = {}
        self.stalls: Counter[tuple[int | None, int | None]] = Counter()
        self.events: Counter[str] = Counter()
        self._codes: dict[CodeType, set[int] | None] = {}

    def stall(self, thread: Any) -> None:
        frame = kernel_frame(sys._getframe(1))
        who: Any = frame.f_locals.get("who") if frame is not None else None
        key = (int(who.role), int(who.word)) if hasattr(who, "_fields") else (None, None)
        self.stalls[key] += 1

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        """For sys.settrace: follows kernel functions, line by line, and nothing else."""
        code = frame.f_code
        if code not in self._codes:
            module = str(frame.f_globals.get("__name__", ""))
            is_kernel = frame.f_globals.get("__emulated__", False) and not module.startswith(HERE)
            self._codes[code] = (
                self.lines.setdefault(f"{module}.{code.co_name}", set()) if is_kernel else None
            )
        lines = self._codes[code]
        if lines is None:
            return None

        def local(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "line":
                lines.add(frame.f_lineno)
            return local

        return local
