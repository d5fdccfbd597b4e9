"""Movers for the measurement of overlap: one that notes what it moves, one that gives the same without a network.

An exchange group is what one call of `soon` begins: a dispatch (counts and three tensors), a combine, or a way back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from torch import Tensor

from dualpipe_ref.comm.mover import Mover, Pending, Result, now


@dataclass
class Moved:
    """One tensor of a group: rows for and from each rank, an empty tensor with the shape of rows, and what came."""

    sent: list[int]
    received: list[int]
    no_rows: Tensor
    got: Tensor | None = None

    def again(self, mover: Mover) -> Pending:
        """The same number of bytes once more."""
        rows = self.no_rows.new_zeros(sum(self.sent), *self.no_rows.shape[1:])
        return mover.exchange(rows, self.sent, self.received)

    def bytes_to(self, peer: int) -> int:
        row = self.no_rows.new_empty(1, *self.no_rows.shape[1:])
        return self.sent[peer] * row.numel() * row.element_size()


@dataclass
class Group:
    """An exchange group, and the op of the step that it belongs to."""

    op: int
    moved: list[Moved] = field(default_factory=list)
    sent_counts: Tensor | None = None
    counts: Tensor | None = None

    def again(self, mover: Mover) -> list[Pending]:
        if self.sent_counts is not None:
            mover.exchange_counts(self.sent_counts)
        return [one.again(mover) for one in self.moved]


class Switched:
    """The mover that a model is made with; `mover` is the one that works now, `op` the number of the op that runs."""

    def __init__(self, mover: Mover) -> None:
        self.mover, self.rank, self.ranks = mover, mover.rank, mover.ranks
        self.op = -1

    def soon(self, begin: Callable[[], Result]) -> Callable[[], Result]:
        return self.mover.soon(begin)

    def exchange_counts(self, counts: Tensor) -> Tensor:
        return self.mover.exchange_counts(counts)

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Pending:
        return self.mover.exchange(rows, sent, received)


class Recording:
    """Moves with `mover`, and keeps what it was asked for and what came."""

    def __init__(self, mover: Mover, switched: Switched) -> None:
        self.mover, self.rank, self.ranks = mover, mover.rank, mover.ranks
        self.groups: list[Group] = []
        self._switched, self._group = switched, Group(-1)

    def soon(self, begin: Callable[[], Result]) -> Callable[[], Result]:
        group = Group(self._switched.op)
        self.groups.append(group)

        def noted() -> Result:
            self._group = group  # one thread begins all groups, one after another
            return begin()

        return self.mover.soon(noted)

    def exchange_counts(self, counts: Tensor) -> Tensor:
        got = self.mover.exchange_counts(counts)
        self._group.sent_counts, self._group.counts = counts.clone(), got.clone()
        return got

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Pending:
        moved = Moved(list(sent), list(received), rows[:0].detach())
        self._group.moved.append(moved)
        return _Kept(self.mover.exchange(rows, sent, received), moved)


class _Kept:
    def __init__(self, pending: Pending, moved: Moved) -> None:
        self._pending, self._moved = pending, moved

    def wait(self) -> Tensor:
        got = self._pending.wait()
        self._moved.got = got.detach()  # autograd makes what a function returns part of its graph
        return got


class Replayed:
    """Gives at once what a recorded run of the same step got. All that the network does is missing, and nothing else."""

    def __init__(self, groups: Sequence[Group], rank: int, ranks: int) -> None:
        self.rank, self.ranks = rank, ranks
        self._groups = iter(groups)
        self._moved: list[Moved] = []

    def soon(self, begin: Callable[[], Result]) -> Callable[[], Result]:
        self._group = next(self._groups)
        self._moved = list(self._group.moved)
        return now(begin)

    def exchange_counts(self, counts: Tensor) -> Tensor:
        assert self._group.counts is not None, "the recorded run exchanged no counts here"
        return self._group.counts.clone()

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Pending:
        moved = self._moved.pop(0)
        assert (moved.sent, moved.received) == (list(sent), list(received)), "another routing"
        first = sum(sent[: self.rank])
        # A rank's rows for itself are copied, as without the double.
        rows.contiguous()[first : first + sent[self.rank]].clone()
        assert moved.got is not None
        return _Here(moved.got.detach())


class _Here:
    def __init__(self, rows: Tensor) -> None:
        self._rows = rows

    def wait(self) -> Tensor:
        return self._rows


class Synchronous:
    """The planted fault: begins an exchange and waits for it, before anything else is computed."""

    def __init__(self, mover: Mover) -> None:
        self.mover, self.rank, self.ranks = mover, mover.rank, mover.ranks

    def soon(self, begin: Callable[[], Result]) -> Callable[[], Result]:
        result = self.mover.soon(begin)()
        return lambda: result

    def exchange_counts(self, counts: Tensor) -> Tensor:
        return self.mover.exchange_counts(counts)

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Pending:
        return _Here(self.mover.exchange(rows, sent, received).wait())


def total_bytes(groups: Sequence[Group], peer: int) -> int:
    """Bytes of all rows for `peer`."""
    return sum(one.bytes_to(peer) for group in groups for one in group.moved)


def falsified(groups: Sequence[Group]) -> list[Group]:
    """The planted fault: one number of one combine in a recorded run is another one."""
    changed = deepcopy(list(groups))
    got = next(group for group in changed if len(group.moved) == 1).moved[0].got
    assert got is not None
    got[0, 0] += 1
    return changed
