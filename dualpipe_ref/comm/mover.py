"""Who moves the rows of the naive all-to-all: torch.distributed, or nobody where one rank is alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from torch import Tensor

Result = TypeVar("Result")


class Pending(Protocol):
    """Rows that are on their way."""

    def wait(self) -> Tensor:
        """All rows that came, ordered by the rank that sent them."""
        ...


@runtime_checkable
class Mover(Protocol):
    """Sends rows between `ranks` ranks, of which this process is number `rank`."""

    rank: int
    ranks: int

    def soon(self, begin: Callable[[], Result]) -> Callable[[], Result]:
        """Do this, now or beside the caller's computation, in the order of the calls; what comes back waits for its result.

        A dispatch begins by exchanging counts, and the caller need not stand still for that.
        """
        ...

    def exchange_counts(self, counts: Tensor) -> Tensor:
        """[R, ...] int64 in, row r for rank r: how many rows it will get, and what it should know. [R, ...] from each rank out."""
        ...

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Pending:
        """Start sending `rows` [sum of sent, ...], ordered by their destination. All ranks call this alike."""
        ...


def now(begin: Callable[[], Result]) -> Callable[[], Result]:
    """Do it at once.

    >>> now(lambda: 3)()
    3
    """
    result = begin()
    return lambda: result


class Alone:
    """One rank that keeps everything.

    >>> import torch
    >>> Alone().exchange(torch.ones(2, 3), [2], [2]).wait().shape
    torch.Size([2, 3])
    """

    rank = 0
    ranks = 1

    def soon(self, begin: Callable[[], Result]) -> Callable[[], Result]:
        return now(begin)

    def exchange_counts(self, counts: Tensor) -> Tensor:
        return counts.clone()

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Pending:
        return _Here(rows.clone())


class _Here:
    def __init__(self, rows: Tensor) -> None:
        self._rows = rows

    def wait(self) -> Tensor:
        return self._rows
