"""The processes of a group, one a rank, beside their kernels: they meet, tell one another what they know, and miss who is gone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.distributed_c10d import _get_default_store

from dualpipe_ref.comm.checks import check_one
from dualpipe_ref.comm.errors import NO_CHANNEL, CommTimeout, Role
from dualpipe_ref.comm.kernels.waiting import COUNT
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError

SECONDS = 100.0
# How long a process that gave up listens for what others have to say of the same launch.
PATIENCE = 5.0
# Of messages between processes that meet; others of the same group have tag 0.
TAG = 1
ARRIVAL = (Role("host", "arrival"),)


class Processes:
    """The R processes of a `group`, the default one if None, that moves CPU tensors (gloo does). Made by all together.

    A wait for a process lasts up to `seconds`. Raises `InputError` unless there is a process for each rank of the topology.
    """

    def __init__(self, group: ProcessGroup | None, topology: Topology, seconds: float) -> None:
        self.group, self.topology, self.seconds = group, topology, seconds
        self.rank = rank_in(group, topology)
        self._peers = [rank for rank in range(topology.ranks) if rank != self.rank]
        self._name = self.gathered(uuid4().hex)[0]
        self._launches = 0

    def gathered(self, value: Any) -> list[Any]:
        """What each rank came with."""
        got = [None] * self.topology.ranks
        dist.all_gather_object(got, value, group=self.group)
        return got

    def agree(self, name: str, value: Any) -> None:
        """Raises `InputError`, on all ranks, unless they came with one value."""
        check_one(name, self.gathered(value), range(self.topology.ranks))

    def meet(self) -> None:
        """Wait until all have come.

        Raises `CommTimeout`, which names a rank that did not within `seconds`, or whose process has ended: every process
        listens to every other, so that all that are left find out by themselves, and soon.
        """
        began = time.monotonic()
        word = torch.zeros(1, dtype=torch.uint8)
        begun = [
            (peer, self._begun(dist.irecv, torch.empty_like(word), peer)) for peer in self._peers
        ]
        begun += [(peer, self._begun(dist.isend, word, peer)) for peer in self._peers]
        errors: dict[int, RuntimeError] = {}
        for peer, work in begun:
            left = began + self.seconds - time.monotonic()
            try:
                # 0 would be no limit at all.
                work(timedelta(milliseconds=max(1, round(1000 * left))))
            except RuntimeError as error:
                errors.setdefault(peer, error)
        if errors:
            missing = min(errors)
            waited = int(1e9 * (time.monotonic() - began))
            record = [1, 0, NO_CHANNEL, self.rank, missing, COUNT, 0, 0, 1, waited]
            raise CommTimeout(record, ARRIVAL, sorted(errors)) from errors[missing]

    def launched(self) -> None:
        """Count a launch. All processes launch the same kernels, one after another."""
        self._launches += 1

    def who_gave_up(self, record: Sequence[int]) -> list[Sequence[int]]:
        """As `Transport.who_gave_up`, for the latest launch: waits up to `PATIENCE` seconds for all, or `seconds` if less.

        Over the store that the processes found one another by, which needs nobody's kernels, and no peer that is alive. The
        times are those of the processes' clocks.
        """
        said: dict[int, Any] = {self.rank: [time.time(), list(record)]}
        until = time.monotonic() + min(PATIENCE, self.seconds)
        keys = [f"{self._name}/{self._launches}/{rank}" for rank in range(self.topology.ranks)]
        # A store that is gone, with the process that kept it, says nothing more.
        with suppress(RuntimeError):
            store = _get_default_store()
            store.set(keys[self.rank], json.dumps(said[self.rank]))
            while len(said) < len(keys) and time.monotonic() < until:
                for peer in [one for one in self._peers if one not in said]:
                    if store.check([keys[peer]]):
                        said[peer] = json.loads(store.get(keys[peer]))
                time.sleep(0.01)
        return [one for _, one in sorted(said.values())]

    def _begun(
        self, what: Callable[..., Any], tensor: Tensor, peer: int
    ) -> Callable[[timedelta], object]:
        """How to wait for it; to a peer that is gone it cannot even begin."""
        try:
            work = what(tensor, group=self.group, tag=TAG, **{_PLACES[what]: peer})
        except RuntimeError as error:
            failed = error

            def fail(limit: timedelta) -> None:
                raise failed

            return fail

        def wait(limit: timedelta, tensor: Tensor = tensor) -> None:  # the tensor lives until then
            work.wait(limit)

        return wait


_PLACES = {dist.irecv: "group_src", dist.isend: "group_dst"}


def rank_in(group: ProcessGroup | None, topology: Topology) -> int:
    """This process's rank; `InputError` unless the group has a process for each rank of the topology."""
    if not dist.is_initialized():
        raise InputError(
            "processes find one another in a process group",
            "none was made",
            "torch.distributed.init_process_group('gloo')",
        )
    size = dist.get_world_size(group)
    if size != topology.ranks:
        raise InputError(
            "there is a process for each rank",
            f"{size} processes for {topology.nodes} nodes x {topology.gpus_per_node} GPUs",
            f"{topology.ranks} processes",
        )
    return int(dist.get_rank(group))
