"""Where the rings and words of the queues lie, and how a kernel finds them.

Everybody polls memory of the own rank: data and `tail` lie in the receiver's heap, `head` in the sender's. Counters never
wrap; message k lies in slot k modulo the ring's size, and may be written when k - head < size.
"""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.comm.kernels.machine import cuda, device, link, ptx
from dualpipe_ref.comm.kernels.message import Parts
from dualpipe_ref.comm.kernels.moving import block_of, lane, rank_of
from dualpipe_ref.comm.kernels.packing import heap_of

# Words of 64 bits that the roles of a block share.
BLOCK_WORDS = 2048
# Those of a warp alone.
DESK_WORDS = 8
# How far a role has come that needs nothing any more.
ENDLESS = 1 << 40


class Rings(NamedTuple):
    """The offsets in every heap of one phase's rings and words, and their number.

    Over RDMA, for each channel and node: `rdma_data` where its messages arrive; `staging` where messages for it are put
    together, a ring less, since those for the own node are written where they are read; `rdma_tail`, how many came from
    it; `rdma_head`, how many it has given back. Over NVLink, for each channel, GPU of the node and sub-ring, the same with
    `nvl_data`, `nvl_tail` and `nvl_head`. In dispatch a GPU has one sub-ring, in combine one for each node.
    """

    staging: int
    rdma_data: int
    nvl_data: int
    rdma_tail: int
    rdma_head: int
    nvl_tail: int
    nvl_head: int
    sub_rings: int


class QueuePlan(NamedTuple):
    """What the kernels of the queues are told. Sizes of rings and chunks are `protocol.sizes.Sizes`, in messages.

    `tables` [ranks here, fields] int64 are addresses of each rank's tensors. `nvl_ring` is the size of a sub-ring.
    `block_words` are those that the roles of a block share. `is_new` is 0 where a handle is there already. A message's meta are three words: the token's place, its rank, and a bit for each GPU of the node that wants it. `records`: see `who_ran`.
    """

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
    senders: int
    window: int
    rdma_ring: int
    rdma_chunk: int
    nvl_ring: int
    nvl_chunk: int
    large_warp: int
    receivers: int
    rings: Rings
    block_words: int
    is_new: int
    experts_here: int
    message: Parts
    records: int = 0


# Words of a message's meta.
META, RANK, MASK = 3, 1, 2


class Here(NamedTuple):
    """Whom a block works for, and the address of that rank's heap."""

    rank: int
    node: int
    local: int
    channel: int
    heap: int


@device
def here_of(plan):
    """Two blocks work for each channel of a rank."""
    rank = rank_of(plan)
    return Here(rank, rank // plan.gpus, rank % plan.gpus, block_of(plan) // 2, heap_of(plan, rank))


@device
def note(desk, here):
    """Write down at a warp's desk, DESK_WORDS of the block's words, whom it works for. A warp."""
    if lane() == 0:
        ptx.st_relaxed_cta(desk, here.rank)
        ptx.st_relaxed_cta(desk + 8, here.node)
        ptx.st_relaxed_cta(desk + 16, here.local)
        ptx.st_relaxed_cta(desk + 24, here.channel)
        ptx.st_relaxed_cta(desk + 32, here.heap)
    cuda.syncwarp()


@device
def noted(desk):
    """Read it again. What is computed from it then takes no registers while rows are added, of which every warp has few."""
    return Here(
        ptx.ld_relaxed_cta(desk),
        ptx.ld_relaxed_cta(desk + 8),
        ptx.ld_relaxed_cta(desk + 16),
        ptx.ld_relaxed_cta(desk + 24),
        ptx.ld_relaxed_cta(desk + 32),
    )


@device
def rdma_slot(plan, channel, node, counter):
    """The offset of a message that comes from `node`."""
    ring = channel * plan.nodes + node
    return (
        plan.rings.rdma_data
        + (ring * plan.rdma_ring + counter % plan.rdma_ring) * plan.message.size
    )


@device
def staging_slot(plan, here, node, counter):
    """The offset at which a message for `node` is put together: for the own node where it is read."""
    if node == here.node:
        return rdma_slot(plan, here.channel, node, counter)
    ring = here.channel * (plan.nodes - 1) + node - (1 if node > here.node else 0)
    return (
        plan.rings.staging + (ring * plan.rdma_ring + counter % plan.rdma_ring) * plan.message.size
    )


@device
def rdma_word(plan, words, channel, node):
    """The offset of a node's word among `words`."""
    return words + 8 * (channel * plan.nodes + node)


@device
def nvl_slot(plan, channel, local, sub_ring, counter):
    """The offset of a message that comes from GPU `local` of the node."""
    ring = (channel * plan.gpus + local) * plan.rings.sub_rings + sub_ring
    return (
        plan.rings.nvl_data + (ring * plan.nvl_ring + counter % plan.nvl_ring) * plan.message.size
    )


@device
def nvl_word(plan, words, channel, local, sub_ring):
    """The offset of the word of a GPU of the node among `words`."""
    return words + 8 * ((channel * plan.gpus + local) * plan.rings.sub_rings + sub_ring)


@device
def publish(plan, here, node, first, count):
    """Bring `count` staged messages, the first of them number `first`, to a node in one put; then raise its tail. A warp.

    Messages for the own node are there already. A chunk divides its ring, so it is one piece.
    """
    cuda.syncwarp()  # one lane acquired what other warps wrote
    if node == here.node:
        if lane() == 0:
            tail = rdma_word(plan, plan.rings.rdma_tail, here.channel, here.node)
            ptx.red_add_release_sys(here.heap + tail, count)
    else:
        peer = node * plan.gpus + here.local
        target = rdma_slot(plan, here.channel, here.node, first)
        source = staging_slot(plan, here, node, first)
        if lane() == 0:
            ptx.fence_acq_rel_sys()  # a network card reads what the block's warps wrote
        cuda.syncwarp()
        link.put(plan, here.rank, peer, here.channel, target, source, count * plan.message.size)
        if lane() == 0:
            tail = rdma_word(plan, plan.rings.rdma_tail, here.channel, here.node)
            link.add(plan, here.rank, peer, here.channel, tail, count)


@device
def give_back(plan, here, node, count):
    """Tell a node's sender that `count` more slots are free, in a queue pair of their own. One lane."""
    head = rdma_word(plan, plan.rings.rdma_head, here.channel, here.node)
    if node == here.node:
        ptx.red_add_release_sys(here.heap + head, count)
    else:
        peer = node * plan.gpus + here.local
        link.add(plan, here.rank, peer, plan.channels + here.channel, head, count)


@device
def next_lane(votes, first, lanes):
    """The first lane from `first` on, around, that voted; there is one."""
    at = first
    while at < lanes:
        if (votes >> at) & 1:
            return at
        at += 1
    at = 0
    while at < lanes:
        if (votes >> at) & 1:
            return at
        at += 1
    return 0


@device
def clear_block(words, count):
    """Zero the words that a block's roles share. The whole block, before it splits into roles."""
    for at in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        ptx.st_relaxed_cta(words + 8 * at, 0)
    cuda.syncthreads()


@device
def range_of(starts, place):
    """Where stretch number `place` begins, and where the next one does, out of a row of starts. One lane."""
    return ptx.ld_i64(starts + 8 * place), ptx.ld_i64(starts + 8 * place + 8)


@device
def tokens_of(channel, channels, count):
    """The first token of a channel and the one after its last."""
    share = (count + channels - 1) // channels
    return min(channel * share, count), min(channel * share + share, count)
