"""Where and when the blocks of the kernels ran, by their own records: written only where a launch is told to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.hopper.replay import Launch, Zero
from dualpipe_ref.hopper.sm_map import NOTHING, Ran, ran
from dualpipe_ref.schedule.errors import InputError


class KernelBlock(NamedTuple):
    """One block of a kernel: the rank that it worked for, its place among that rank's blocks, where and when it `ran`."""

    kernel: str
    rank: int
    block: int
    ran: Ran


@dataclass(frozen=True, eq=False)
class KernelRecords:
    """What the warps of a launch write each time it is started: `records` [blocks, warps, lanes] int64, as in `who_ran`.

    `blocks` are those of one rank, from rank `first_rank` on.
    """

    kernel: str
    blocks: int
    first_rank: int
    records: Tensor

    def clear(self) -> None:
        """Forget the last run, so that the next one has to write everything again."""
        self.records.fill_(NOTHING)

    def ran(self) -> list[Ran]:
        """One `Ran` for each block. Raises `InputError` where a warp wrote nothing, or warps of a block several SMs."""
        return ran(self.records.tolist())

    def kernel_blocks(self) -> list[KernelBlock]:
        """The same with names, for `kernel_trace`."""
        return [
            KernelBlock(
                self.kernel, self.first_rank + number // self.blocks, number % self.blocks, one
            )
            for number, one in enumerate(self.ran())
        ]


def empty_records(
    blocks: int, threads: int, lanes: int, device: torch.device | str = "cpu"
) -> Tensor:
    """[blocks, warps, lanes] int64 in which nothing is written yet.

    >>> empty_records(blocks=2, threads=8, lanes=4).shape
    torch.Size([2, 2, 4])
    """
    return torch.full((blocks, threads // lanes, lanes), NOTHING, device=device)


def recording(
    steps: Sequence[Zero | Launch], ranks: int, lanes: int
) -> tuple[tuple[Zero | Launch, ...], list[KernelRecords]]:
    """The same steps, whose kernels write down where they run, and what they write; `ranks` are those of each launch.

    Without this a plan's address of records is 0, and a warp only looks at that. Raises `InputError` for a kernel whose
    plan has no such address.
    """
    made: list[Zero | Launch] = []
    found = []
    for step in steps:
        if isinstance(step, Zero):
            made.append(step)
            continue
        if not hasattr(step.plan, "records"):
            raise InputError(
                "a kernel that writes down where it runs has records in its plan", step.name
            )
        room = empty_records(step.blocks * ranks, step.threads, lanes, step.tensors[0].device)
        plan = step.plan._replace(records=room.data_ptr())
        made.append(step._replace(plan=plan, tensors=[*step.tensors, room]))
        found.append(KernelRecords(step.name, step.blocks, step.plan.first_rank, room))
    return tuple(made), found
