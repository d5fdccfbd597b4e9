"""Places in the source of kernels, for messages: "moving.py:38 in copy < ring.py:50 in send"."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FrameType, TracebackType

HERE = __name__.rpartition(".")[0]
MOST_CALLS = 3


def is_kernel(frame: FrameType) -> bool:
    return not str(frame.f_globals.get("__name__", "")).startswith(HERE)


def kernel_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame that is a kernel's, not the emulator's."""
    while frame is not None and not is_kernel(frame):
        frame = frame.f_back
    return frame


def kernel_frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames of a kernel, from the innermost to the kernel itself."""
    frame = kernel_frame(frame)
    while frame is not None and is_kernel(frame):
        yield frame
        frame = frame.f_back


def trail(frame: FrameType | None) -> str:
    """Where a kernel is, and who called: "?" where no kernel runs."""
    calls = [line_of(one.f_code, one.f_lineno) for one in kernel_frames(frame)]
    return " < ".join(calls[:MOST_CALLS]) or "?"


def trail_of(traceback: TracebackType | None) -> str:
    """Where a kernel was when an error was raised."""
    last = "?"
    while traceback is not None:
        if is_kernel(traceback.tb_frame):
            code = traceback.tb_frame.f_code
            line = line_of(code, traceback.tb_lineno)
            last = line if last == "?" else f"{line} < {last}"
        traceback = traceback.tb_next
    return " < ".join(last.split(" < ")[:MOST_CALLS])


def line_of(code: CodeType, line: int | None) -> str:
    return f"{code.co_filename.rpartition('/')[2]}:{line} in {code.co_name}"


def line_at(code: CodeType, instruction: int) -> int | None:
    """The line of an instruction of a function."""
    for begin, end, line in code.co_lines():
        if begin <= instruction < end:
            return line
    return None
