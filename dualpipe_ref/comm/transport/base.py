"""What every transport gives to the versions of the all-to-all that are made of kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor

from dualpipe_ref.comm.topology import Topology


class Transport(Protocol):
    """Memory that peers reach, and a way to run kernels for the `ranks` of this process.

    Each rank has one heap, of the same size and layout on all. Kernels get addresses as int64: `tensor.data_ptr()`.
    """

    topology: Topology
    ranks: range
    device: torch.device
    # Lanes of a warp: 32, or fewer in the emulator, where a lane costs time.
    lanes: int
    # SMs that one rank may use; None where nothing limits them.
    sms_per_rank: int | None

    def heaps(self, size: int) -> list[Tensor]:
        """Make the heaps: [size] uint8, zeroed, of each rank here. All ranks call it alike, once."""
        ...

    def heap_addresses(self) -> Tensor:
        """[R] int64 on `device`: every rank's heap as kernels of this process reach it, 0 where only `link` does."""
        ...

    def zero(self, first: int, size: int) -> None:
        """Zero these bytes of all heaps, after every rank finished what came before and before any begins what comes next."""
        ...

    def launch(
        self,
        kernel: Callable[..., Any],
        plan: Any,
        *,
        blocks: int,
        threads: int,
        tensors: Sequence[Tensor],
        element: ModuleType | None = None,
    ) -> None:
        """Run `kernel(plan)` with `blocks` blocks for each rank here, all of them at once, and wait until they end.

        Block b works for rank `plan.first_rank + b // blocks`; so a plan has `first_rank` and `blocks`. `tensors` are all
        whose addresses the plan or its tables hold, other than heaps.
        """
        ...

    def who_gave_up(self, record: Sequence[int]) -> list[Sequence[int]]:
        """The records of the last launch, in the order of their times: `record`, of this process, and those of others.

        Asked where a rank here gave up. Another process has a moment to say that a rank of its own did as well.
        """
        ...
