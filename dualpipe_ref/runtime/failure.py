"""The one exception of a step that cannot go on: who, at which op, and what it waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed


class StepError(RuntimeError):
    """A rank cannot go on with its step.

    >>> raise StepError(2, "B0.3 (op 17 of 40)", "the gradient of micro-batch 3 has not come", "Connection closed by peer")
    Traceback (most recent call last):
    dualpipe_ref.runtime.failure.StepError: rank 2 at B0.3 (op 17 of 40): the gradient of micro-batch 3 has not come (Connection closed by peer)
    """

    def __init__(self, rank: int, place: str, what: str, cause: object = None) -> None:
        self.rank, self.place, self.what = rank, place, what
        reason = f" ({' '.join(str(cause).split())[:300]})" if cause else ""
        super().__init__(f"rank {rank} at {place}: {what}{reason}")


@contextmanager
def together(place: str) -> Iterator[None]:
    """Work that all ranks do together; where one is missing, the others say where they stood.

    >>> alone = {"store": torch.distributed.HashStore(), "rank": 0, "world_size": 1}
    >>> torch.distributed.init_process_group("gloo", **alone)
    >>> with together("the sum of gradients"):
    ...     raise RuntimeError("Connection reset by peer")
    Traceback (most recent call last):
    dualpipe_ref.runtime.failure.StepError: rank 0 at the sum of gradients: not all ranks took part (Connection reset by peer)
    >>> torch.distributed.destroy_process_group()
    """
    try:
        yield
    except StepError:
        raise
    except RuntimeError as error:
        rank = torch.distributed.get_rank()
        raise StepError(rank, place, "not all ranks took part", error) from error
