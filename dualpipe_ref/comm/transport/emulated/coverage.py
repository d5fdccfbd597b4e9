"""Which lines of the kernels ran, which waits had to wait, and which rings came round."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import Any, NamedTuple

from dualpipe_ref.comm.kernels.waiting import HEAD
from dualpipe_ref.comm.transport.emulated.places import kernel_frame

# From Python 3.12 on.
monitoring: Any = getattr(sys, "monitoring", None)
TOOL = 4  # one of the numbers that sys.monitoring leaves to anybody


class Stall(NamedTuple):
    """A wait that napped: the number of its role in the version's table, and the word that it awaits (HEAD is credit)."""

    role: int
    word: int


class Coverage:
    """What all launches of a transport have reached.

    `lines`: for each kernel function ("module.function") the lines that ran, and `missed` those that did not; empty without
    `trace`. `waits` counts how often a wait looked at its word, `stalls` how often it then napped, `wraps`, by role,
    the looks at credit for a slot that was in use before: the ring has come round.
    """

    def __init__(self) -> None:
        self.lines: dict[str, set[int]] = {}
        self.waits: Counter[Stall] = Counter()
        self.stalls: Counter[Stall] = Counter()
        self.wraps: Counter[int] = Counter()
        self._codes: dict[CodeType, set[int]] = {}

    # Lines

    def follow(self, functions: Iterable[Callable[..., Any]]) -> None:
        """Count the lines of these functions from now on."""
        self._before = sys.gettrace()
        for function in functions:
            code = function.__code__
            if code not in self._codes:
                name = f"{function.__module__}.{function.__name__}"
                self._codes[code] = self.lines.setdefault(name, set())

    def missed(self) -> dict[str, list[int]]:
        """The lines of each function that never ran; functions that ran in full are left out."""
        found: dict[str, list[int]] = {}
        for code, ran in self._codes.items():
            lines = {line for _, _, line in code.co_lines() if line} - {code.co_firstlineno}
            if lines - ran:
                name = next(name for name, one in self.lines.items() if one is ran)
                found[name] = sorted(lines - ran)
        return found

    def start(self) -> None:
        """Begin to count in this thread of execution: on 3.11 in each greenlet, later once for all."""
        if monitoring is None:
            sys.settrace(self._enter)
            return
        if monitoring.get_tool(TOOL) is not None:
            return
        monitoring.use_tool_id(TOOL, "emulated kernels")
        monitoring.register_callback(TOOL, monitoring.events.LINE, self._ran)
        for code in self._codes:
            monitoring.set_local_events(TOOL, code, monitoring.events.LINE)

    def stop(self) -> None:
        """End it."""
        if monitoring is None:
            sys.settrace(self._before)
            return
        if monitoring.get_tool(TOOL) is not None:
            for code in self._codes:
                monitoring.set_local_events(TOOL, code, monitoring.events.NO_EVENTS)
            monitoring.register_callback(TOOL, monitoring.events.LINE, None)
            monitoring.free_tool_id(TOOL)

    def _ran(self, code: CodeType, line: int) -> Any:
        self._codes[code].add(line)
        return monitoring.DISABLE  # this line is known now

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        lines = self._codes.get(frame.f_code)
        if lines is None:
            return None

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "line":
                lines.add(frame.f_lineno)
            return line

        return line

    # Waits

    def look(self) -> None:
        """A thread looks at a word; a wait of `kernels/waiting.py` names `who` waits for whom, and how much for."""
        frame = kernel_frame(sys._getframe(1))
        values = frame.f_locals if frame is not None else {}
        who: Any = values.get("who")
        if hasattr(who, "_fields"):
            self.waits[Stall(int(who.role), int(who.word))] += 1
            if who.word == HEAD and values.get("least", 0) > 0:
                self.wraps[int(who.role)] += 1

    def stall(self) -> None:
        """A thread naps."""
        frame = kernel_frame(sys._getframe(1))
        who: Any = frame.f_locals.get("who") if frame is not None else None
        if hasattr(who, "_fields"):
            self.stalls[Stall(int(who.role), int(who.word))] += 1
