"""Every kernel that this package launches: what is compiled and looked at without a GPU, and measured.

`tests/test_kernels` compiles all of them for Hopper and reads their PTX; `dualpipe-ref bench kernels` tells what they take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

from dualpipe_ref.comm.kernels import (
    compiled,
    direct_combine,
    direct_dispatch,
    notify,
    permute,
    plain_copy,
    queue_combine,
    queue_dispatch,
    queue_heads,
    who_ran,
)
from dualpipe_ref.comm.kernels.direct_plan import DirectPlan
from dualpipe_ref.comm.kernels.elements import ELEMENTS
from dualpipe_ref.comm.kernels.queue_plan import QueuePlan
from dualpipe_ref.comm.queue_sizes import MOST_COMBINE_WARPS, MOST_DISPATCH_WARPS
from dualpipe_ref.comm.transport import copying

LANES = 32


class Shipped(NamedTuple):
    """A kernel, the type of its plan, the most `threads` that a block of it has, the `elements` that it may add, and whether
    its blocks wait for others."""

    name: str
    kernel: Callable[..., Any]
    plan: type
    threads: int
    elements: tuple[ModuleType | None, ...] = (None,)
    waits: bool = True


class Case(NamedTuple):
    """A kernel with one of its elements."""

    shipped: Shipped
    element: ModuleType | None

    @property
    def name(self) -> str:
        """For a test or a table."""
        if self.element is None:
            return self.shipped.name
        return f"{self.shipped.name}, {self.element.__name__.rpartition('.')[2]}"

    def ptx(self, lines: bool = False) -> str:
        """Compiled for the link of one GPU and of processes on one node; see `compiled.to_ptx`."""
        return compiled.to_ptx(
            self.shipped.kernel,
            self.shipped.plan,
            link=copying,
            element=self.element,
            threads=self.shipped.threads,
            lines=lines,
        )


SUMMED = tuple(ELEMENTS.values())
KERNELS = (
    Shipped("notify", notify.notify, notify.NotifyPlan, 128),
    Shipped("direct dispatch", direct_dispatch.dispatch, DirectPlan, 512),
    Shipped("direct combine", direct_combine.combine, DirectPlan, 512, SUMMED),
    Shipped("queue dispatch", queue_dispatch.dispatch, QueuePlan, LANES * MOST_DISPATCH_WARPS),
    Shipped("queue combine, first pass", queue_heads.pre_pass, QueuePlan, 512, waits=False),
    Shipped("queue combine", queue_combine.combine, QueuePlan, LANES * MOST_COMBINE_WARPS, SUMMED),
    Shipped("permute", permute.permute, permute.PermutePlan, 512, SUMMED, waits=False),
    Shipped("unpermute", permute.unpermute, permute.PermutePlan, 512, SUMMED, waits=False),
    Shipped("plain copy", plain_copy.plain_copy, plain_copy.PlainCopyPlan, 1024, waits=False),
    Shipped("who ran", who_ran.who_ran, who_ran.WhoRanPlan, 1024, waits=False),
)


def cases() -> Iterator[Case]:
    """Each kernel with each of its elements."""
    for shipped in KERNELS:
        for element in shipped.elements:
            yield Case(shipped, element)


def shipped(kernel: Callable[..., Any]) -> Shipped:
    """What is said of a kernel here; KeyError for one that is not listed.

    >>> shipped(notify.notify).threads
    128
    """
    return {one.kernel: one for one in KERNELS}[kernel]
