"""What the checks of chapter 12 ask about warps: launches, from one GPU to what DeepSeek runs on 64, and their tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.queue_sizes import combine_warps, dispatch_warps
from dualpipe_ref.comm.queue_warps import Task, combine_task, dispatch_task
from dualpipe_ref.comm.topology import Topology


class Launch(NamedTuple):
    """One phase of one rank: two blocks a channel, as many warps in each."""

    phase: str
    topology: Topology
    sizes: Sizes

    def __str__(self) -> str:
        nodes, gpus = self.topology.nodes, self.topology.gpus_per_node
        sizes = self.sizes
        mine = (
            f"senders = {sizes.senders}"
            if self.phase == "dispatch"
            else f"large_warp = {sizes.large_warp}, receivers = {sizes.receivers}"
        )
        return f"{self.phase}, N = {nodes}, L = {gpus}, channels = {sizes.channels}, {mine}"

    @property
    def arguments(self) -> tuple[int, ...]:
        """What the functions are told beside block and warp."""
        nodes, gpus = self.topology.nodes, self.topology.gpus_per_node
        if self.phase == "dispatch":
            return gpus, self.sizes.senders
        return nodes, gpus, self.sizes.large_warp, self.sizes.receivers

    @property
    def warps(self) -> int:
        """Of every block: as many as the fuller one of the two needs."""
        count = dispatch_warps if self.phase == "dispatch" else combine_warps
        return count(self.sizes, self.topology)

    @property
    def places(self) -> Iterator[tuple[int, int]]:
        for block in range(2 * self.sizes.channels):
            for warp in range(self.warps):
                yield block, warp

    def right(self, block: int, warp: int) -> tuple[Any, ...] | None:
        """As the kernels have it."""
        task_of: Callable[..., Task | None] = (
            dispatch_task if self.phase == "dispatch" else combine_task
        )
        task = task_of(block, warp, *self.arguments)
        return None if task is None else as_tuple(task)

    @property
    def due(self) -> list[tuple[Any, ...]]:
        """Every task of the launch, once each."""
        nodes, gpus = range(self.topology.nodes), range(self.topology.gpus_per_node)
        sizes = self.sizes
        due: list[tuple[Any, ...]] = []
        for channel in range(sizes.channels):
            due += [("forwarder coordinator", channel)]
            if self.phase == "dispatch":
                due += [("forwarder", channel, gpu) for gpu in gpus]
                due += [("sender", channel, part) for part in range(sizes.senders)]
                due += [("sender coordinator", channel)]
                due += [("receiver", channel, gpu) for gpu in gpus]
            else:
                parts = range(sizes.large_warp)
                due += [("forwarder", channel, node, part) for node in nodes for part in parts]
                due += [("sender", channel, gpu) for gpu in gpus]
                due += [("receiver", channel, part) for part in range(sizes.receivers)]
                due += [("receiver coordinator", channel)]
        return due

    def peers(self, role: str) -> int | None:
        """Among how many peers the warps of a role change with the channel; None where they serve none."""
        if role == "forwarder" and self.phase == "combine":
            return self.topology.nodes
        by_peer = ("forwarder", "receiver") if self.phase == "dispatch" else ("sender",)
        return self.topology.gpus_per_node if role in by_peer else None


def as_tuple(task: Task) -> tuple[Any, ...]:
    """A task in the words of the exercise: without the phase, and without what it does not have."""
    _, role = task.role.split(" ", 1)
    numbers = (task.channel, task.peer, task.part)
    return (role, *(number for number in numbers if number is not None))


def launches() -> list[Launch]:
    """From one GPU to what DeepSeek runs on 64."""
    shapes = (
        *((1, 1, 1, 1, 1, 1), (1, 2, 2, 1, 1, 2), (2, 1, 2, 2, 2, 1), (2, 2, 3, 2, 3, 1)),
        *((1, 4, 4, 3, 2, 3), (3, 2, 5, 1, 1, 4), (8, 8, 10, 7, 2, 15)),
    )
    return [
        Launch(
            phase,
            Topology(nodes, gpus),
            Sizes(
                channels=channels,
                senders=senders,
                large_warp=large_warp,
                receivers=receivers,
                rdma_ring=16,
                rdma_chunk=8,
                sub_ring=16,
            ),
        )
        for nodes, gpus, channels, senders, large_warp, receivers in shapes
        for phase in ("dispatch", "combine")
    ]
