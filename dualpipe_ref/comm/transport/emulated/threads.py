"""Threads, warps and blocks of a launch. Importing this imports greenlet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenlet import greenlet


class Dim:
    """One of CUDA's three-dimensional indices; kernels here use `x` alone."""

    __slots__ = ("x",)

    def __init__(self, x: int) -> None:
        self.x = x


class Thread(greenlet):
    """A CUDA thread: a greenlet that runs the kernel."""

    def __init__(
        self, run: Callable[[], None], number: int, x: int, warp: Warp, owners: set[Any]
    ) -> None:
        super().__init__(run)
        self.number, self.x, self.warp = number, x, warp
        # Whose memory it reaches, by instructions of the global space, and by those of the block.
        self.owners, self.in_block = owners, {*owners, warp.block}
        self.block = warp.block
        self.index = Dim(x)
        self.lane = len(warp.threads)
        warp.threads.append(self)
        warp.block.threads.append(self)
        # Where it waits: "" while it can move, else "warp", "block" or "nap".
        self.waits = ""
        self.due = 0
        self.seen_changes = 0
        self.result: Any = None

    @property
    def who(self) -> str:
        block = self.block
        return f"rank {block.rank}, block {block.number}, warp {self.warp.number}, lane {self.lane}"


class Warp:
    """Lanes that meet: each brings a value, and all get all of them."""

    __slots__ = (
        "arrived",
        "block",
        "changes",
        "kind",
        "live",
        "number",
        "then",
        "threads",
        "values",
    )

    def __init__(self, block: Block, number: int) -> None:
        self.block, self.number = block, number
        self.threads: list[Thread] = []
        self.live = 0
        self.arrived = 0
        self.kind = ""
        self.then: Callable[[Warp], None] | None = None
        self.values: list[Any] = []
        # How often a word changed that one of the lanes had looked at.
        self.changes = 0


class Block:
    """A block on its SM, with the shared arrays that it made."""

    def __init__(self, number: int, rank: int, sm: int) -> None:
        self.number, self.rank, self.sm = number, rank, sm
        self.index = Dim(number)
        self.dim = Dim(0)
        self.threads: list[Thread] = []
        self.warps: list[Warp] = []
        self.shared: dict[Any, Any] = {}
        self.live = 0
        self.arrived = 0
