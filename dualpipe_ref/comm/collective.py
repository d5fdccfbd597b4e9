"""Rows moved by torch.distributed's all-to-all: gloo on CPUs, nccl on GPUs; works everywhere, aggregates nothing."""

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
    """

    def __init__(
        self, group: torch.distributed.ProcessGroup | None = None, *, background: bool = False
    ) -> None:
        self.group = group
        self._thread = ThreadPoolExecutor(1, "all-to-all") if background else None
        self.rank = torch.distributed.get_rank(group)
        self.ranks = torch.distributed.get_world_size(group)

    def soon(self, begin: Callable[[], Result]) -> Callable[[], Result]:
        return self._thread.submit(begin).result if self._thread else now(begin)

    def exchange_counts(self, counts: Tensor) -> Tensor:
        got = torch.empty_like(counts)
        torch.distributed.all_to_all_single(got, counts, group=self.group)
        return got

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Pending:
        # As bytes: not every backend knows every type, and nothing is computed on the way.
        rows = rows.contiguous()
        width = rows.element_size() * prod(rows.shape[1:])
        raw = (
            rows.view(torch.uint8).reshape(-1)
            if rows.numel()
            else rows.new_empty(0, dtype=torch.uint8)
        )
        got = torch.empty(sum(received) * width, dtype=torch.uint8, device=rows.device)
        work = torch.distributed.all_to_all_single(
            got,
            raw,
            output_split_sizes=[count * width for count in received],
            input_split_sizes=[count * width for count in sent],
            group=self.group,
            async_op=True,
        )
        # The sent bytes must live until the message has left.
        return _InFlight(work, raw, got, (sum(received), *rows.shape[1:]), rows.dtype)


class _InFlight:
    def __init__(
        self,
        work: torch.distributed.Work,
        sent: Tensor,
        got: Tensor,
        shape: tuple[int, ...],
        dtype: torch.dtype,
    ) -> None:
        self._work, self._sent, self._got = work, sent, got
        self._shape, self._dtype = shape, dtype

    def wait(self) -> Tensor:
        self._work.wait()
        return self._got.view(self._dtype).view(self._shape)
