"""The one exception of a step that cannot go on: who, at which op, and what it waited for."""

from __future__ import annotations


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
