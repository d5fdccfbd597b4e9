"""Rows moved by torch.distributed, from each rank to each: gloo on CPUs, nccl on GPUs; works everywhere, aggregates nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod

import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref.comm.mover import Pending, Result, now


class Collective:
    """The ranks of a process group, in its order. Made after `torch.distributed.init_process_group`.

    In the `background`, one thread of this process talks to the network and another computes. All that goes over one
    group must go through one Collective then: ranks agree on the order of collectives because one thread issues them.
    All ranks of the group make their Collective together: counts have a group of their own, so that they do not wait
    behind the rows that are still on their way.
    """

    def __init__(
        self, group: torch.distributed.ProcessGroup | None = None, *, background: bool = False
    ) -> None:
        self.group = group
        self._thread = ThreadPoolExecutor(1, "all-to-all") if background else None
        self.rank = torch.distributed.get_rank(group)
        self.ranks = torch.distributed.get_world_size(group)
        members = torch.distributed.get_process_group_ranks(group)
        self._counts = torch.distributed.new_group(
            members,
            backend=torch.distributed.get_backend_config(group),
            use_local_synchronization=True,
        )

    def soon(self, begin: Callable[[], Result]) -> Callable[[], Result]:
        return self._thread.submit(begin).result if self._thread else now(begin)

    def exchange_counts(self, counts: Tensor) -> Tensor:
        got = torch.empty_like(counts)
        torch.distributed.all_to_all_single(got, counts, group=self._counts)
        return got

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Pending:
        # As bytes: not every backend knows every type, and nothing is computed on the way.
        rows = rows.contiguous()
        width = rows.element_size() * prod(rows.shape[1:])
        out = _bytes_of(rows).split([count * width for count in sent])
        got = torch.empty(sum(received) * width, dtype=torch.uint8, device=rows.device)
        parts = got.split([count * width for count in received])
        parts[self.rank].copy_(out[self.rank])
        # Receives first: a peer that sends before it says that it can receive makes gloo take the two ways in turn.
        operations = [self._operation(torch.distributed.irecv, parts, peer) for peer in self._peers]
        operations += [self._operation(torch.distributed.isend, out, peer) for peer in self._peers]
        messages = [one for one in operations if one.tensor.numel()]
        works = torch.distributed.batch_isend_irecv(messages) if messages else []
        # The sent bytes must live until the message has left.
        return _InFlight(works, rows, got, (sum(received), *rows.shape[1:]), rows.dtype)

    @property
    def _peers(self) -> list[int]:
        """All other ranks, each beginning with the one after it."""
        return [(self.rank + step) % self.ranks for step in range(1, self.ranks)]

    def _operation(
        self, what: Callable[..., object], parts: Sequence[Tensor], peer: int
    ) -> torch.distributed.P2POp:
        return torch.distributed.P2POp(what, parts[peer], group=self.group, group_peer=peer)


def _bytes_of(rows: Tensor) -> Tensor:
    if rows.numel() == 0:
        return rows.new_empty(0, dtype=torch.uint8)
    return rows.view(torch.uint8).reshape(-1)


class _InFlight:
    def __init__(
        self,
        works: Sequence[torch.distributed.Work],
        sent: Tensor,
        got: Tensor,
        shape: tuple[int, ...],
        dtype: torch.dtype,
    ) -> None:
        self._works, self._sent, self._got = works, sent, got
        self._shape, self._dtype = shape, dtype

    def wait(self) -> Tensor:
        for work in self._works:
            work.wait()
        return self._got.view(self._dtype).view(self._shape)
