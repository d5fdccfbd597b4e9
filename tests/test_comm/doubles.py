"""Versions of the all-to-all without processes and without kernels: a mover between threads, and an exchange that asks the oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.comm import reference
from dualpipe_ref.comm.checks import check_alike, checked, facts_of
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.layout import Layout
from dualpipe_ref.comm.mover import Result, now
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.topology import Topology

SECONDS = 20


class Threads:
    """Movers between threads of this process: a queue from each rank to each."""

    def __init__(self, ranks: int) -> None:
        self.queues: list[list[SimpleQueue[Tensor]]] = [
            [SimpleQueue() for _ in range(ranks)] for _ in range(ranks)
        ]

    def mover(self, rank: int) -> ThreadMover:
        return ThreadMover(self, rank)


class ThreadMover:
    """One rank's `Mover`. `messages` counts what it was asked to exchange."""

    def __init__(self, threads: Threads, rank: int) -> None:
        self.rank, self.ranks, self._queues = rank, len(threads.queues), threads.queues
        self.messages = 0

    def soon(self, begin: Callable[[], Result]) -> Callable[[], Result]:
        return now(begin)

    def exchange_counts(self, counts: Tensor) -> Tensor:
        return self._exchange(list(counts)).stacked()

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> _Coming:
        return self._exchange(list(rows.split(list(sent))))

    def _exchange(self, parts: Sequence[Tensor]) -> _Coming:
        self.messages += 1
        for peer, part in enumerate(parts):
            self._queues[self.rank][peer].put(part.detach().clone())
        return _Coming([self._queues[peer][self.rank] for peer in range(self.ranks)])


class _Coming:
    def __init__(self, queues: Sequence[SimpleQueue[Tensor]]) -> None:
        self._queues = queues

    def wait(self) -> Tensor:
        return torch.cat([one.get(timeout=SECONDS) for one in self._queues])

    def stacked(self) -> Tensor:
        return torch.stack([one.get(timeout=SECONDS) for one in self._queues])


class _Known(NamedTuple):
    layout: Layout
    received: Received


class OracleExchange:
    """An `Exchange` of all ranks that does what `reference` does, in two levels. `launches` counts the calls that it let through."""

    def __init__(self, topology: Topology) -> None:
        self.topology, self.ranks = topology, range(topology.ranks)
        self.launches = 0

    def dispatch(
        self, outgoing: Sequence[Outgoing], experts: int, handles: Sequence[_Known] | None = None
    ) -> list[tuple[Received, _Known]]:
        layouts = [checked(one, self.topology, experts) for one in outgoing]
        check_alike([facts_of(one, experts) for one in outgoing])
        self.launches += 1
        tokens = [one.tokens for one in outgoing]
        scales = [one.scales for one in outgoing if one.scales is not None]
        routings = [one.routing for one in outgoing]
        got = reference.dispatch(tokens, routings, self.topology, experts, scales or None)
        return [(one, _Known(*both)) for one, *both in zip(got, layouts, got, strict=True)]

    def combine(
        self,
        outputs: Sequence[Tensor],
        handles: Sequence[_Known],
        weights: Sequence[Tensor] | None = None,
    ) -> list[tuple[Tensor, Tensor | None]]:
        self.launches += 1
        sums = self._sums(outputs, handles)
        of_weights = self._sums(weights, handles) if weights else [None] * len(sums)
        return list(zip(sums, of_weights, strict=True))

    def _sums(self, values: Sequence[Tensor], handles: Sequence[_Known]) -> list[Tensor]:
        received = [
            one.received._replace(tokens=value) for one, value in zip(handles, values, strict=True)
        ]
        counts = [len(one.layout.routing) for one in handles]
        return reference.combine(values, received, counts, self.topology, "two levels")
