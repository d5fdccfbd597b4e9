"""Notify: every rank learns how many messages it will get, on its rail and in the end; both versions begin with it.

A rank puts one record to its rail's GPU of each node; that one passes on to each GPU of its node the counts that are
about it. A record and the signal that it is there are one put and one add: a word for each count would be hundreds of
small RDMA messages. A signal of 0 says that nothing came yet, so data are never cleared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dualpipe_ref.comm.errors import NO_CHANNEL, Role
from dualpipe_ref.comm.kernels.machine import cuda, device, link, ptx
from dualpipe_ref.comm.kernels.message import VECTOR, rounded_up
from dualpipe_ref.comm.kernels.moving import lane, rank_of, warp
from dualpipe_ref.comm.kernels.packing import heap_of
from dualpipe_ref.comm.kernels.waiting import COUNT, Who, all_lanes, wait, wait_behind
from dualpipe_ref.comm.kernels.who_ran import write_began, write_ended
from dualpipe_ref.comm.topology import Topology

PASSING, RECEIVING = 0, 1
ROLES = (Role("forwarder of counts", "counts"), Role("receiver of counts", "forwarded counts"))


class NotifyWords(NamedTuple):
    """Offsets in every heap of what notify uses, and the sizes of its records; `agreed` words begin each."""

    channels: int
    agreed: int
    record_bytes: int
    out_at: int
    rail_at: int
    rank_at: int
    rail_ready_at: int
    rank_ready_at: int


class NotifyPlan(NamedTuple):
    """What the kernel is told. `records`: see `who_ran`."""

    first_rank: int
    blocks: int
    heaps: int
    errors: int
    timeout: int
    tables: int
    fields: int
    nodes: int
    gpus: int
    words: NotifyWords
    records: int = 0


@dataclass(frozen=True)
class NotifyArea:
    """Where notify's words lie in a heap, from byte `first` on: signals, which are zeroed before, then records.

    A record on the rail is `agreed` words and counts [C, L + 1]; one for a rank `agreed` words and counts [C].
    """

    first: int
    topology: Topology
    channels: int
    agreed: int

    @property
    def signal_bytes(self) -> int:
        return rounded_up(8 * (self.topology.nodes + self.topology.ranks), VECTOR)

    @property
    def rail_words(self) -> int:
        return self.agreed + self.channels * (self.topology.gpus_per_node + 1)

    @property
    def rank_words(self) -> int:
        return self.agreed + self.channels

    @property
    def record_bytes(self) -> int:
        return rounded_up(8 * self.rail_words, VECTOR)

    @property
    def out_at(self) -> int:
        """Records [N] that leave."""
        return self.first + self.signal_bytes

    @property
    def rail_at(self) -> int:
        """Records [N] that came on the rail."""
        return self.out_at + self.topology.nodes * self.record_bytes

    @property
    def rank_at(self) -> int:
        """Records [R] that were passed on to this rank."""
        return self.rail_at + self.topology.nodes * self.record_bytes

    @property
    def size(self) -> int:
        end = self.rank_at + 8 * self.topology.ranks * self.rank_words
        return rounded_up(end - self.first, VECTOR)

    def words(self) -> NotifyWords:
        """What the plan says of it."""
        return NotifyWords(
            self.channels,
            self.agreed,
            self.record_bytes,
            self.out_at,
            self.rail_at,
            self.rank_at,
            self.first,
            self.first + 8 * self.topology.nodes,
        )


def notify(plan):
    """One block a rank."""
    write_began(plan)
    tell(plan, rank_of(plan), cuda.blockDim.x // cuda.warpsize)
    write_ended(plan)


@device
def tell(plan, rank, warps):
    """Its warps share nodes, then source ranks. Nobody waits before it has sent and passed on."""
    for node in range(warp(), plan.nodes, warps):
        send_record(plan, rank, node)
    for node in range(warp(), plan.nodes, warps):
        if not pass_on(plan, rank, node):
            return
    for source in range(warp(), plan.nodes * plan.gpus, warps):
        if not receive(plan, rank, source):
            return


@device
def send_record(plan, rank, node):
    """Put the record for a node, which the host left in the own heap, to the rail's GPU there."""
    words, here = plan.words, rank // plan.gpus
    peer = node * plan.gpus + rank % plan.gpus
    target = words.rail_at + here * words.record_bytes
    source = words.out_at + node * words.record_bytes
    link.put(plan, rank, peer, 0, target, source, words.record_bytes)
    if lane() == 0:
        link.add(plan, rank, peer, 0, words.rail_ready_at + 8 * here, 1)


@device
def pass_on(plan, rank, node):
    """Wait for a node's record in the own heap; give each GPU of the own node its counts, into its heap."""
    words, here = plan.words, rank // plan.gpus
    source = node * plan.gpus + rank % plan.gpus
    heap = heap_of(plan, rank)
    went_well = True
    if lane() == 0:
        who = Who(PASSING, NO_CHANNEL, rank, source, COUNT)
        went_well = wait(plan, heap + words.rail_ready_at + 8 * node, 1, 0, who)
    if not all_lanes(went_well):
        return False
    record = heap + words.rail_at + node * words.record_bytes
    for local in range(plan.gpus):
        there = heap_of(plan, here * plan.gpus + local)
        target = there + words.rank_at + 8 * source * (words.agreed + words.channels)
        for place in range(lane(), words.agreed, cuda.warpsize):
            ptx.st_i64(target + 8 * place, ptx.ld_i64(record + 8 * place))
        for channel in range(lane(), words.channels, cuda.warpsize):
            place = words.agreed + channel * (plan.gpus + 1) + local
            count = ptx.ld_i64(record + 8 * place)
            ptx.st_i64(target + 8 * (words.agreed + channel), count)
        cuda.syncwarp()
        if lane() == 0:
            ptx.st_release_sys(there + words.rank_ready_at + 8 * source, 1)
    return True


@device
def receive(plan, rank, source):
    """Wait until a source's counts are in the own heap; the host reads them there."""
    went_well = True
    if lane() == 0:
        ready = heap_of(plan, rank) + plan.words.rank_ready_at + 8 * source
        who = Who(RECEIVING, NO_CHANNEL, rank, source, COUNT)
        went_well = wait_behind(plan, ready, 1, 0, who)
    return all_lanes(went_well)
