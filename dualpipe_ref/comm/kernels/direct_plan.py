"""Direct slots: every message has its own place in the worst-case buffers, so nobody waits for room, and nothing can deadlock.

A channel is a warp that sends, and owns a range of its rank's tokens. A message's place is how many tokens of its source
go the same way before it: all that write or read it compute the same address from the counts of notify.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from dualpipe_ref.comm.errors import Role
from dualpipe_ref.comm.kernels.machine import cuda, device, link, ptx
from dualpipe_ref.comm.kernels.message import VECTOR, Parts, rounded_up
from dualpipe_ref.comm.kernels.moving import lane
from dualpipe_ref.comm.kernels.notify import NotifyArea
from dualpipe_ref.comm.topology import Topology

# Roles that wait; who sends never does.
FORWARDER, RECEIVER, ADDER, HOME = 0, 1, 2, 3
ROLES = (
    Role("forwarder", "messages"),
    Role("receiver", "forwarded messages"),
    Role("forwarder of combine", "rows"),
    Role("receiver of combine", "sums"),
)


class Warps(NamedTuple):
    """Warps of a block in each role. In dispatch: send, forward, receive; in combine: return rows, add in the node, add at home."""

    first: int
    second: int
    third: int

    @property
    def total(self) -> int:
        return sum(self)


class DirectWords(NamedTuple):
    """Offsets in every heap. In dispatch and combine the same places are used, each time after all ranks are done with the last.

    `stage_at` [N, T]: messages for each node, put together here. `rail_at` [N, T]: those from each node. `rank_at` [R, T]:
    in dispatch those from each rank; in combine, for the tokens of rank (n, this local), the rows of each GPU j of the own
    node, at n * L + j. `rail_tail_at` [N, C] and `rank_tail_at` [R, C]: how many of a channel's are there, 0 at first.
    """

    stage_at: int
    rail_at: int
    rank_at: int
    rail_tail_at: int
    rank_tail_at: int


class DirectPlan(NamedTuple):
    """What both kernels are told. `run` messages travel in one put and are published at once. `records`: see `who_ran`."""

    first_rank: int
    blocks: int
    heaps: int
    errors: int
    timeout: int
    tables: int
    fields: int
    nodes: int
    gpus: int
    channels: int
    most_tokens: int
    run: int
    experts_here: int
    warps: Warps
    message: Parts
    words: DirectWords
    records: int = 0


class Route(NamedTuple):
    """Where a rank's messages go and where they come from; the first fields of its table, all int64.

    `node_places` [T, N], `rank_places` [T, R]: the message's place among those for a node or rank, or -1. `tokens` is T.
    `sent_...` [N, C, L + 1] count this rank's messages of each channel for the GPUs of a node and (last) the node,
    `rail_...` [N, C, L + 1] those of each node's rank on this rail for the GPUs of this node, `rank_...` [R, C] those that
    end here; `..._starts` say how many of earlier channels come before them. `rail_rows` [N] and `rank_rows` [R] are the
    first row of each source in `forwarded` [F, L], which keeps the places of forwarded messages, and among the M received.
    """

    node_places: Any
    rank_places: Any
    tokens: Any
    sent_counts: Any
    sent_starts: Any
    rail_counts: Any
    rail_starts: Any
    rail_rows: Any
    rank_counts: Any
    rank_starts: Any
    rank_rows: Any
    forwarded: Any


(
    NODE_PLACES,
    RANK_PLACES,
    TOKENS,
    SENT_COUNTS,
    SENT_STARTS,
    RAIL_COUNTS,
    RAIL_STARTS,
    RAIL_ROWS,
    RANK_COUNTS,
    RANK_STARTS,
    RANK_ROWS,
    FORWARDED,
) = range(len(Route._fields))
# The fields after those: of dispatch `packing.Inputs`, then `packing.Outputs`; of combine `Returned`.
REST = len(Route._fields)


class Returned(NamedTuple):
    """Combine's own fields: rows [M, H] and weights [M, K] that come back; their sums [T, H] and [T, K]."""

    rows: Any
    weights: Any
    sums: Any
    summed_weights: Any


@dataclass(frozen=True)
class DirectHeap:
    """How a heap is divided, in bytes: words that are zeroed before each call, records of notify, then the slots."""

    topology: Topology
    channels: int
    most_tokens: int
    slot: int
    agreed: int

    @property
    def area(self) -> NotifyArea:
        first = 8 * self.channels * (self.topology.nodes + self.topology.ranks)
        return NotifyArea(rounded_up(first, VECTOR), self.topology, self.channels, self.agreed)

    @property
    def zeroed(self) -> int:
        """So many bytes from the first are words that say what is there."""
        return self.area.first + self.area.signal_bytes

    def words(self) -> DirectWords:
        nodes, first = self.topology.nodes, self.area.first + self.area.size
        rail = nodes * self.most_tokens * self.slot
        tails = 8 * self.channels * nodes
        return DirectWords(first, first + rail, first + 2 * rail, 0, tails)

    @property
    def size(self) -> int:
        return self.words().rank_at + self.topology.ranks * self.most_tokens * self.slot


@device
def stage_slot(plan, node, place):
    """The offset at which a message for a node is put together."""
    return plan.words.stage_at + (node * plan.most_tokens + place) * plan.message.size


@device
def rail_slot(plan, node, place):
    """The offset of a message from a node."""
    return plan.words.rail_at + (node * plan.most_tokens + place) * plan.message.size


@device
def rank_slot(plan, which, place):
    """The offset of a message from within the node; see `DirectWords.rank_at`."""
    return plan.words.rank_at + (which * plan.most_tokens + place) * plan.message.size


@device
def rail_tail(plan, node, channel):
    """The offset of the count of what is there from a node's channel."""
    return plan.words.rail_tail_at + 8 * (node * plan.channels + channel)


@device
def rank_tail(plan, which, channel):
    """The same for messages from within the node."""
    return plan.words.rank_tail_at + 8 * (which * plan.channels + channel)


@device
def word_of(address, row, channel, plan):
    """A word of a [R, C] tensor."""
    return ptx.ld_i64(address + 8 * (row * plan.channels + channel))


@device
def rail_word_of(address, node, channel, local, plan):
    """A word of a [N, C, L + 1] tensor; the last `local`, L, is the node's."""
    return ptx.ld_i64(address + 8 * ((node * plan.channels + channel) * (plan.gpus + 1) + local))


@device
def put_run(plan, rank, channel, node, place, count):
    """Bring `count` staged messages to the same places on the rail's GPU of a node, then say so there. A warp."""
    cuda.syncwarp()  # any lane may read what others staged
    here = rank // plan.gpus
    peer = node * plan.gpus + rank % plan.gpus
    target, source = rail_slot(plan, here, place), stage_slot(plan, node, place)
    link.put(plan, rank, peer, channel, target, source, count * plan.message.size)
    if lane() == 0:
        link.add(plan, rank, peer, channel, rail_tail(plan, here, channel), count)
