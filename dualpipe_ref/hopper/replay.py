"""The launches of an exchange, kept to be started again: as often as a measurement needs, and beside computation.

An exchange checks its input, makes tables, and waits for each kernel. What is to be measured is what the GPU does; so a
transport is listened to while it runs a dispatch or a combine once, and what it heard is started again without the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple

from torch import Tensor

from dualpipe_ref.comm.transport.base import Transport
from dualpipe_ref.schedule.errors import InputError


class Zero(NamedTuple):
    """Bytes of all heaps that become 0."""

    first: int
    size: int


class Launch(NamedTuple):
    """A kernel as it was launched; `tensors` are kept because the plan has their addresses."""

    kernel: Callable[..., Any]
    plan: Any
    blocks: int
    threads: int
    tensors: Sequence[Tensor]
    element: ModuleType | None

    @property
    def name(self) -> str:
        """Module and function."""
        return f"{self.kernel.__module__.rpartition('.')[2]}.{self.kernel.__name__}"


@dataclass
class Listening:
    """A transport that does what another does, and keeps in `steps` what was asked of it; see `base.Transport`."""

    inner: Transport
    steps: list[Zero | Launch] = field(default_factory=list)
    made: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.topology, self.ranks = self.inner.topology, self.inner.ranks
        self.device, self.lanes = self.inner.device, self.inner.lanes
        self.sms_per_rank = self.inner.sms_per_rank

    def heaps(self, size: int) -> list[Tensor]:
        self.made = self.inner.heaps(size)
        return self.made

    def heap_addresses(self) -> Tensor:
        return self.inner.heap_addresses()

    def zero(self, first: int, size: int) -> None:
        self.steps.append(Zero(first, size))
        self.inner.zero(first, size)

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
        self.steps.append(Launch(kernel, plan, blocks, threads, list(tensors), element))
        self.inner.launch(
            kernel, plan, blocks=blocks, threads=threads, tensors=tensors, element=element
        )

    def who_gave_up(self, record: Sequence[int]) -> list[Sequence[int]]:
        return self.inner.who_gave_up(record)

    def taken(self) -> tuple[Zero | Launch, ...]:
        """The steps since the last call. Raises `InputError` where there were none."""
        if not any(isinstance(step, Launch) for step in self.steps):
            raise InputError("what is started again has been launched once", "no launch")
        steps, self.steps = tuple(self.steps), []
        return steps


def again(transport: Transport, steps: Sequence[Zero | Launch]) -> None:
    """Do the steps once more as the transport does them: each waits for the one before."""
    for step in steps:
        if isinstance(step, Zero):
            transport.zero(*step)
        else:
            transport.launch(
                step.kernel,
                step.plan,
                blocks=step.blocks,
                threads=step.threads,
                tensors=step.tensors,
                element=step.element,
            )


def start(
    steps: Sequence[Zero | Launch],
    heaps: Sequence[Tensor],
    ranks: int,
    stream: Any,
    owns_sm: bool = False,
) -> None:
    """Put the steps on a GPU's stream and return at once; all of it lies on one GPU, as slices of each launch."""
    import torch

    from dualpipe_ref.comm.transport import copying, gpu

    with torch.cuda.stream(stream):
        for step in steps:
            if isinstance(step, Zero):
                for heap in heaps:
                    heap[step.first : step.first + step.size].zero_()
            else:
                gpu.launch(
                    step.kernel,
                    step.plan,
                    grid=step.blocks * ranks,
                    threads=step.threads,
                    link=copying,
                    element=step.element,
                    stream=stream,
                    owns_sm=owns_sm,
                )
