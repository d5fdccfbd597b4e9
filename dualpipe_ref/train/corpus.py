"""Batches that depend on their place in the run alone, so that every cut of a model sees the same tokens. Needs torch."""

from __future__ import annotations

import hashlib
from itertools import accumulate, groupby
from typing import NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.train.text import BLOCK

VOCABULARY = 256  # tokens are bytes
EVERY = 10  # of so many blocks the last is held out


class Place(NamedTuple):
    """Whose micro-batch it is. `microbatch` counts within its direction, as in a schedule's ops.

    A pair of micro-batches that flow in two `directions` are two that follow one another where there is one direction,
    and two ranks that share experts are two data ranks where nobody shares: the step is the same work.
    """

    step: int
    microbatch: int
    direction: int = 0
    directions: int = 1
    data_rank: int = 0
    expert_rank: int = 0
    expert_ranks: int = 1

    @property
    def number(self) -> int:
        """The micro-batch among those of all directions.

        >>> [Place(0, k, direction=d, directions=2).number for k in range(2) for d in range(2)]
        [0, 1, 2, 3]
        """
        return self.microbatch * self.directions + self.direction

    @property
    def replica(self) -> int:
        """The rank among all that see tokens of their own."""
        return self.data_rank * self.expert_ranks + self.expert_rank


class Corpus:
    """A text as bytes, cut into sequences of `tokens` (S) that lie wholly in its trained or in its held-out blocks.

    Raises `InputError` where a sequence and its next token do not fit into a block.

    >>> corpus = Corpus(bytes(range(256)) * 256, tokens=4)
    >>> inputs, targets = corpus.batch(Place(step=3, microbatch=1), sequences=2)
    >>> inputs.shape, bool((targets == (inputs + 1) % 256).all())
    (torch.Size([2, 4]), True)
    """

    def __init__(self, content: bytes, tokens: int, seed: int = 0) -> None:
        if require_int("tokens", tokens, 1) >= BLOCK:
            raise InputError(
                "a sequence and its next token fit into a block of the text",
                f"tokens = {tokens}",
                f"tokens = {BLOCK - 1}",
            )
        self.tokens, self.seed = tokens, seed
        trained, held_out = _runs(len(content))
        self._trained = [run for run in trained if len(run) > tokens]
        # The first sequences of all held-out blocks come before the second ones: a few stand for all.
        self._held_out = sorted(
            (place - run.start, place)
            for run in held_out
            for place in range(run.start, run.stop - tokens, tokens + 1)
        )
        if not self._trained or not self._held_out:
            raise InputError(
                "the text has a trained and a held-out block",
                f"{len(content)} bytes",
                str(10 * BLOCK),
            )
        self._values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        self._ends = list(accumulate(len(run) - tokens for run in self._trained))

    @property
    def evaluation_sequences(self) -> int:
        """How many sequences the held-out blocks give without overlap."""
        return len(self._held_out)

    def batch(self, place: Place, sequences: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets, each [B, S] int64, of one micro-batch of `sequences` (B).

        Each sequence is drawn for itself, by the seed, the step, the rank and its number in the step: half as many
        micro-batches of twice the size hold the same ones.
        """
        first = place.number * sequences
        return self._cut(
            [
                self._start(f"{self.seed} {place.step} {place.replica} {number}")
                for number in range(first, first + sequences)
            ]
        )

    def evaluation(self, number: int, sequences: int) -> tuple[Tensor, Tensor]:
        """The `number`-th batch of the held-out text, always the same one: inputs and targets, each [B, S] int64.

        Raises `InputError` beyond the last whole batch.
        """
        most = self.evaluation_sequences // require_int("sequences", sequences, 1)
        if not 0 <= number < most:
            raise InputError(
                f"the held-out text gives {most} batches of {sequences} sequences",
                f"number = {number}",
                f"number = {max(0, min(number, most - 1))}",
            )
        chosen = self._held_out[number * sequences : (number + 1) * sequences]
        return self._cut([start for _, start in chosen])

    def _start(self, name: str) -> int:
        """A place at which a trained sequence begins, all equally likely."""
        digest = hashlib.sha256(name.encode()).digest()
        drawn = int.from_bytes(digest[:16], "big") % self._ends[-1]
        for run, end in zip(self._trained, self._ends, strict=True):
            if drawn < end:
                return run.stop - self.tokens - (end - drawn)
        raise AssertionError("the last end is above every number drawn")

    def _cut(self, starts: list[int]) -> tuple[Tensor, Tensor]:
        rows = torch.stack([self._values[start : start + self.tokens + 1] for start in starts])
        wide = rows.to(torch.int64)
        return wide[:, :-1].contiguous(), wide[:, 1:].contiguous()


def _runs(size: int) -> tuple[list[range], list[range]]:
    """Where the trained and the held-out bytes stand: nine blocks, one block, nine blocks, and so on.

    >>> _runs(11 * BLOCK)
    ([range(0, 36864), range(40960, 45056)], [range(36864, 40960)])
    """
    trained: list[range] = []
    held_out: list[range] = []
    blocks = range(-(-size // BLOCK))
    for is_held_out, group in groupby(blocks, lambda block: block % EVERY == EVERY - 1):
        numbers = list(group)
        run = range(numbers[0] * BLOCK, min(size, (numbers[-1] + 1) * BLOCK))
        (held_out if is_held_out else trained).append(run)
    return trained, held_out
