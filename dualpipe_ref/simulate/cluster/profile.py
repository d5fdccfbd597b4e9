"""A profiler's trace of an overlapped pair, as DeepSeek published one: the same numbers as the planner's, and a timeline.

The format is that of torch's profiler: JSON with `traceEvents`, of which those of category "kernel" have a name, `ts` and `dur` in
microseconds, and in `args` a `grid`. A kernel communicates if its name has one of `COMMUNICATING` in it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from dualpipe_ref.schedule.errors import InputError, shortened
from dualpipe_ref.schedule.ir import Chunk, Op, OpKind, Placement, Schedule
from dualpipe_ref.simulate.timeline import Timeline

URL = "https://raw.githubusercontent.com/deepseek-ai/profile-data/main/train.json"
COMMUNICATING = ("dispatch", "combine", "notify", "deep_ep", "nccl", "barrier")
MOVING = ("dispatch", "cached dispatch", "combine")
# DeepEP's internode dispatch<low latency, nodes, cached, ...>: in the backward the layout is known already.
_CACHED = re.compile(r"dispatch<[^,<>]*,[^,<>]*, *(?:\(bool\)1|true)\b")


class Kernel(NamedTuple):
    """One kernel, in nanoseconds from the first one; `grid` is its number of blocks."""

    name: str
    start: int
    end: int
    grid: int

    @property
    def communicates(self) -> bool:
        return any(word in self.name.lower() for word in COMMUNICATING)

    @property
    def moves(self) -> str | None:
        """Which of `MOVING` it is; None for computation, and for what only counts and waits."""
        name = self.name.lower()
        if "notify" in name or "layout" in name:
            return None
        if "combine" in name:
            return "combine"
        if "dispatch" not in name:
            return None
        return "cached dispatch" if _CACHED.search(name) or "cached" in name else "dispatch"


class Profile(NamedTuple):
    """What a trace shows. Times in nanoseconds."""

    wall: int
    communicating: int
    computing: int
    both: int
    communication_grid: int
    computation_grid: int
    kernels: dict[str, tuple[int, int]]  # how many, and how long together
    order: tuple[str, ...]

    @property
    def exposed(self) -> int:
        """Communication with no computation beside it."""
        return self.communicating - self.both

    @property
    def exposed_share(self) -> float:
        return self.exposed / self.communicating if self.communicating else 0.0

    @property
    def ratio(self) -> float:
        """Communication over computation."""
        return self.communicating / self.computing if self.computing else 0.0


def published() -> dict[str, Any]:
    """What DeepSeek's own trace shows.

    >>> published()["communication_grid"], published()["computation_grid"]
    (20, 112)
    """
    path = resources.files("dualpipe_ref.simulate.cluster").joinpath("deepseek_profile.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def read_kernels(path: str) -> list[Kernel]:
    """The kernels of a trace, in order of their starts. Raises `InputError` for a file that is none."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("a trace is JSON that can be read", f"{path}: {error}") from None
    events = data.get("traceEvents") if isinstance(data, dict) else data
    if not isinstance(events, list):
        raise InputError("a trace has traceEvents", f"{path}: {shortened(data)}")
    found = [_kernel(event) for event in events if _is_kernel(event)]
    if not found:
        raise InputError(
            "a trace has kernels: complete events of category kernel",
            f"{path} with {len(events)} events and no kernel",
            "torch.profiler.profile(activities=[ProfilerActivity.CUDA])",
        )
    first = min(kernel.start for kernel in found)
    found = [one._replace(start=one.start - first, end=one.end - first) for one in found]
    return sorted(found, key=lambda one: (one.start, one.end))


def _is_kernel(event: Any) -> bool:
    return (
        isinstance(event, dict) and event.get("ph") == "X" and "kernel" in str(event.get("cat", ""))
    )


def _kernel(event: dict[str, Any]) -> Kernel:
    arguments = event.get("args", {})
    try:
        start, length = (Fraction(str(event[key])) for key in ("ts", "dur"))
        grid = 1
        for size in arguments.get("grid", [1]):
            grid *= int(size)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            "a kernel has ts, dur and a grid of numbers", f"{shortened(event)} ({error})"
        ) from None
    begin = round(start * 1000)
    return Kernel(str(event.get("name", "")), begin, begin + round(length * 1000), grid)


def busy_spans(kernels: Iterable[Kernel]) -> list[tuple[int, int]]:
    """When any of them runs.

    >>> busy_spans([Kernel("a", 0, 2, 1), Kernel("b", 1, 3, 1), Kernel("c", 5, 6, 1)])
    [(0, 3), (5, 6)]
    """
    spans: list[tuple[int, int]] = []
    for one in sorted(kernels, key=lambda kernel: kernel.start):
        if spans and one.start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], one.end)
        elif one.end > one.start:
            spans.append((one.start, one.end))
    return spans


def profile_of(kernels: Sequence[Kernel]) -> Profile:
    """The numbers of a trace."""
    there = [one for one in kernels if one.communicates]
    here = [one for one in kernels if not one.communicates]
    apart = [busy_spans(some) for some in (there, here, kernels)]
    communicating, computing, any_ = (sum(end - start for start, end in some) for some in apart)
    moving = [(one.moves, one) for one in there if one.moves]
    sums = {
        name: (
            sum(kind == name for kind, _ in moving),
            sum(one.end - one.start for kind, one in moving if kind == name),
        )
        for name in MOVING
    }
    return Profile(
        max(one.end for one in kernels),
        communicating,
        computing,
        communicating + computing - any_,
        _usual_grid([one for _, one in moving]),
        _usual_grid(here),
        sums,
        tuple(str(kind) for kind, _ in moving),
    )


def _usual_grid(kernels: Sequence[Kernel]) -> int:
    """The grid under which most time is spent."""
    times: Counter[int] = Counter()
    for one in kernels:
        times[one.grid] += one.end - one.start
    return times.most_common(1)[0][0] if times else 0


def timeline_of(kernels: Sequence[Kernel]) -> Timeline:
    """The trace in the form of every other run, in nanoseconds: computation on row 0, all-to-alls on row 1.

    What computes without a pause is one op of both chunks. A dispatch is the forward's, a cached one the backward's; of each two
    combines the first brings gradients home, the second the forward's results (the report's figure 4). Nothing here can be
    verified as a schedule: a trace does not say which micro-batch a kernel worked for.
    """
    spans = busy_spans(one for one in kernels if not one.communicates)
    moving = [one for one in kernels if one.moves]
    rows: tuple[list[Op], list[Op]] = ([], [])
    for number in range(len(spans)):
        rows[0].append(Op(OpKind.FB, Chunk(0, number), Chunk(0, number)))
    count: Counter[OpKind] = Counter()
    combines = 0
    for one in moving:
        kind = OpKind.I if one.moves == "cached dispatch" else OpKind.F
        if one.moves == "combine":
            combines += 1
            kind = OpKind.I if combines % 2 else OpKind.F
        chunk = Chunk(0, count[kind])
        count[kind] += 1
        rows[1].append(Op(kind, *((chunk, None) if kind is OpKind.F else (None, chunk))))
    most = max(1, len(spans), *count.values()) if count else max(1, len(spans))
    # Two directions of one stage each: nothing is sent from row to row.
    placement = Placement((((0, 0),), ((1, 0),)))
    ops = tuple(map(tuple, rows))
    batches = tuple(((),) * (len(row) + 1) for row in ops)
    schedule = Schedule("trace", placement, 2 * most, ops, batches)
    return Timeline(
        schedule,
        (tuple(start for start, _ in spans), tuple(one.start for one in moving)),
        (tuple(end for _, end in spans), tuple(one.end for one in moving)),
        source="recorded",
        unit="ns",
    )
