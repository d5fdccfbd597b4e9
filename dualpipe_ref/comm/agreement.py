"""How ranks that only exchange rows find out that they disagree, or that one of them refused its input.

What must be alike travels with the counts of a dispatch, so that it costs no message. Every rank sees what every other
one said, and so all raise the same error, instead of waiting for rows that never come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dualpipe_ref.comm.checks import Facts, check_alike, facts_from, facts_of, numbers_of
from dualpipe_ref.comm.exchange import Exchange, Outgoing
from dualpipe_ref.comm.mover import Mover
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.schedule.errors import InputError

REFUSED = -1


def counts_with_facts(mover: Mover, counts: Tensor, facts: Facts) -> list[int]:
    """The number of rows from each rank, for `counts` [R] of rows for each; raises `InputError` unless all ranks are alike."""
    numbers = counts.new_tensor(numbers_of(facts))
    table = torch.cat((counts.unsqueeze(1), numbers.expand(mover.ranks, -1)), dim=1)
    told: list[list[int]] = mover.exchange_counts(table).tolist()
    lengths = [one[2] if one[1] == REFUSED else 0 for one in told]
    if any(lengths):
        _raise_refusal(_texts(mover, "", lengths, counts.device))
    check_alike([facts_from(one[1:]) for one in told])
    return [one[0] for one in told]


def refuse(mover: Mover, error: InputError, device: torch.device) -> None:
    """Tell the others, who wait in `counts_with_facts`, why this rank does not come. The caller raises the error."""
    text = str(error)
    numbers = [0, REFUSED, len(text.encode())]
    numbers += [0] * (1 + len(Facts._fields) - len(numbers))
    table = torch.tensor(numbers, device=device).expand(mover.ranks, -1).contiguous()
    told = mover.exchange_counts(table).tolist()
    _texts(mover, text, [one[2] if one[1] == REFUSED else 0 for one in told], device)


class Agreeing:
    """An `Exchange` of one rank a process, whose input all processes judge before any of them waits for another's kernels.

    `check` raises `InputError` for what this rank may not send; `meet` waits for all processes, and raises if one does not
    come. Only a dispatch without handles costs these messages, of the `mover`, between CPUs.
    """

    def __init__(
        self,
        exchange: Exchange,
        mover: Mover,
        check: Callable[[Sequence[Outgoing], int], object],
        meet: Callable[[], None],
    ) -> None:
        self.exchange, self.topology, self.ranks = exchange, exchange.topology, exchange.ranks
        self._mover, self._check, self._meet = mover, check, meet

    def dispatch(
        self, outgoing: Sequence[Outgoing], experts: int, handles: Sequence[Any] | None = None
    ) -> list[tuple[Received, Any]]:
        """As `Exchange.dispatch`."""
        if handles is None:
            self._meet()
            try:
                self._check(outgoing, experts)
            except InputError as error:
                refuse(self._mover, error, torch.device("cpu"))
                raise
            none = torch.zeros(self._mover.ranks, dtype=torch.int64)
            counts_with_facts(self._mover, none, facts_of(outgoing[0], experts))
        return self.exchange.dispatch(outgoing, experts, handles)

    def combine(
        self,
        outputs: Sequence[Tensor],
        handles: Sequence[Any],
        weights: Sequence[Tensor] | None = None,
    ) -> list[tuple[Tensor, Tensor | None]]:
        """As `Exchange.combine`."""
        return self.exchange.combine(outputs, handles, weights)


def _texts(mover: Mover, own: str, lengths: Sequence[int], device: torch.device) -> list[str]:
    """What each rank has to say, "" where it has nothing."""
    content = list(own.encode())
    rows = torch.tensor(content, dtype=torch.uint8, device=device).repeat(mover.ranks)
    got = mover.exchange(rows, [len(content)] * mover.ranks, lengths).wait()
    return [bytes(one.tolist()).decode() for one in got.split(list(lengths))]


def _raise_refusal(texts: Sequence[str]) -> None:
    said = [f"rank {rank}: {text}" for rank, text in enumerate(texts) if text]
    raise InputError(f"no rank sends before all have input that fits ({'; '.join(said)})")
