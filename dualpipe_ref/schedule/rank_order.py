"""A pen that writes one rank's op list: it numbers micro-batches and keeps the queue of pending W."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from dualpipe_ref.schedule.ir import Chunk, Op, OpKind

F, I, W, B, FB = OpKind  # noqa: E741 - the field's letters


# All ranks of a schedule run nearly the same ops: they share the objects.
_chunk = lru_cache(maxsize=1 << 16)(Chunk)
_op = lru_cache(maxsize=1 << 16)(Op)


class RankOrder:
    """Writes ops in order. Each slot counts its own forwards and backwards; W runs first in, first out.

    >>> order = RankOrder(slots=2)
    >>> order.forward(0)
    >>> order.forward(1)
    >>> order.backward_input(1)
    >>> order.weight()
    >>> order.overlapped(0, 0)
    >>> print(*order.ops)
    F0.0 F1.0 I1.0 W1.0 FB(F0.1, B0.0)
    """

    def __init__(self, slots: int) -> None:
        self.ops: list[Op] = []
        self._step_starts: list[int] = []
        self._forwards = [0] * slots
        self._backwards = [0] * slots
        self._pending: list[Chunk] = []

    def begin_step(self) -> None:
        """What is written from here on belongs to the next step."""
        self._step_starts.append(len(self.ops))

    @property
    def steps(self) -> tuple[int, ...]:
        """The step of each op, counted from 1; 0 before the first step begins."""
        lengths = pairwise((0, *self._step_starts, len(self.ops)))
        return tuple(step for step, (start, end) in enumerate(lengths) for _ in range(end - start))

    def _next(self, counters: list[int], slot: int) -> Chunk:
        microbatch = counters[slot]
        counters[slot] = microbatch + 1
        return _chunk(slot, microbatch)

    def forward(self, slot: int) -> None:
        self.ops.append(_op(F, self._next(self._forwards, slot), None))

    def backward(self, slot: int) -> None:
        """A full backward: I and W in one."""
        self.ops.append(_op(B, None, self._next(self._backwards, slot)))

    def backward_input(self, slot: int) -> None:
        """I now; its W joins the queue."""
        chunk = self._next(self._backwards, slot)
        self._pending.append(chunk)
        self.ops.append(_op(I, None, chunk))

    def weight(self, slot: int | None = None) -> None:
        """The oldest pending W, of any slot or of this one."""
        found = next(
            place for place, chunk in enumerate(self._pending) if slot in (None, chunk.slot)
        )
        self.ops.append(_op(W, None, self._pending.pop(found)))

    def overlapped(self, forward_slot: int, backward_slot: int) -> None:
        forward = self._next(self._forwards, forward_slot)
        self.ops.append(_op(FB, forward, self._next(self._backwards, backward_slot)))

    def pending(self, slot: int | None = None) -> int:
        """How many W wait, in all or in one slot."""
        return sum(slot in (None, chunk.slot) for chunk in self._pending)
