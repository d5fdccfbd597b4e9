"""How large the queues of the kernels are: the sizes and rules of `protocol.sizes`, and what a GPU adds to them."""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.comm.kernels.queue_plan import BLOCK_WORDS
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError

# Warps of a block at most, 32 threads each. With more, a thread of dispatch would have less than 128 registers, one of combine
# less than 80: DeepSeek's combine has one warp more, and 72.
MOST_DISPATCH_WARPS = 16
MOST_COMBINE_WARPS = 24


class QueueSizes(NamedTuple):
    """The sizes of both phases; they have equally many channels."""

    dispatch: Sizes
    combine: Sizes


def usual_sizes(topology: Topology, num_sms: int = 20) -> QueueSizes:
    """What DeepSeek uses: NVLink chunks of 32 in rings of 288 (in combine 1, in one ring's worth of sub-rings), RDMA 8 in 128.

    >>> dispatch, combine = usual_sizes(Topology(8, 8))
    >>> dispatch.channels, dispatch.senders, dispatch.nvl_ring, dispatch.rdma_ring
    (10, 7, 288, 128)
    >>> combine.sub_ring, combine.large_warp, combine.receivers
    (36, 2, 15)
    """
    channels, nodes, gpus = max(1, num_sms // 2), topology.nodes, topology.gpus_per_node
    chunk, ring = 8, 128
    # A warp for each node or GPU, one coordinator, and whoever else has room.
    senders = max(1, MOST_DISPATCH_WARPS - 1 - gpus)
    large_warp = max(1, min((MOST_COMBINE_WARPS - 1) // nodes, chunk))
    return QueueSizes(
        Sizes(
            channels=channels,
            senders=min(senders, 7),
            rdma_ring=ring,
            rdma_chunk=chunk,
            nvl_ring=288,
            nvl_chunk=32,
            # The rules of combine have no say here.
            large_warp=1,
            sub_ring=32,
        ),
        Sizes(
            channels=channels,
            rdma_ring=ring,
            rdma_chunk=chunk,
            nvl_ring=288,
            nvl_chunk=1,
            sub_ring=max(288 // nodes, large_warp),
            large_warp=large_warp,
            receivers=max(1, min(MOST_COMBINE_WARPS - 1 - gpus, 16)),
        ),
    )


def sizes_of(
    given: Sizes | QueueSizes | None, topology: Topology, num_sms: int | None
) -> QueueSizes:
    """The sizes of both phases, checked: those that are given, or the usual ones for `num_sms` (20) blocks a rank."""
    if num_sms is not None and (num_sms < 2 or num_sms % 2):
        raise InputError(
            "two blocks work for each channel, so their number is even",
            f"num_sms = {num_sms}",
            f"num_sms = {max(2, num_sms + num_sms % 2)}",
        )
    if given is None:
        sizes = usual_sizes(topology, num_sms or 20)
    else:
        sizes = QueueSizes(given, given) if isinstance(given, Sizes) else given
    if num_sms not in (None, 2 * sizes.dispatch.channels):
        raise InputError(
            "two blocks work for each channel",
            f"num_sms = {num_sms}, channels = {sizes.dispatch.channels}",
            f"channels = {num_sms // 2}",
        )
    check_sizes(sizes, topology)
    return sizes


def dispatch_warps(sizes: Sizes, topology: Topology) -> int:
    """Warps of a block: those of the second one, which has the receivers too."""
    return sizes.senders + 1 + topology.gpus_per_node


def combine_warps(sizes: Sizes, topology: Topology) -> int:
    """Warps of a block, of whichever of the two has more."""
    return 1 + max(topology.nodes * sizes.large_warp, topology.gpus_per_node + sizes.receivers)


def dispatch_block_words(sizes: Sizes, topology: Topology) -> int:
    """Words that the roles of a block share: windows and counts of the senders, or places of the forwarders and reports."""
    nodes, gpus = topology.nodes, topology.gpus_per_node
    return nodes * max(sizes.window + 1, gpus + 1)


def combine_block_words(sizes: Sizes, topology: Topology) -> int:
    """The same for large warps with their arrivals and reports, or receivers and reports."""
    nodes, gpus = topology.nodes, topology.gpus_per_node
    return nodes * max(gpus * sizes.large_warp + 1 + gpus, sizes.receivers + 1)


def check_sizes(sizes: QueueSizes, topology: Topology) -> None:
    """Raises `InputError` where a block would have too many warps or shared words, or the phases differ in channels.

    >>> check_sizes(QueueSizes(Sizes(senders=20), Sizes()), Topology(2, 2))
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: a block of dispatch has 16 warps or fewer; got senders = 20, a coordinator and 2 receivers; nearest legal: senders = 13
    """
    dispatch, combine = sizes
    if dispatch.channels != combine.channels:
        raise InputError(
            "both phases go through the same channels",
            f"{dispatch.channels} in dispatch, {combine.channels} in combine",
            f"{dispatch.channels} in combine",
        )
    _check_dispatch(dispatch, topology)
    _check_combine(combine, topology)


def _check_dispatch(sizes: Sizes, topology: Topology) -> None:
    gpus = topology.gpus_per_node
    if dispatch_warps(sizes, topology) > MOST_DISPATCH_WARPS:
        raise InputError(
            f"a block of dispatch has {MOST_DISPATCH_WARPS} warps or fewer",
            f"senders = {sizes.senders}, a coordinator and {gpus} receivers",
            f"senders = {max(1, MOST_DISPATCH_WARPS - 1 - gpus)}",
        )
    if dispatch_block_words(sizes, topology) > BLOCK_WORDS:
        raise InputError(
            f"a block's roles share {BLOCK_WORDS} words or fewer",
            f"a window of {sizes.window} for each of {topology.nodes} nodes",
            f"window = {BLOCK_WORDS // topology.nodes - 1}",
        )


def _check_combine(sizes: Sizes, topology: Topology) -> None:
    nodes, gpus = topology.nodes, topology.gpus_per_node
    most = MOST_COMBINE_WARPS - 1
    if nodes * sizes.large_warp > most:
        raise InputError(
            f"a block of combine has {MOST_COMBINE_WARPS} warps or fewer",
            f"large_warp = {sizes.large_warp} for each of {nodes} nodes, and a coordinator",
            f"large_warp = {max(1, most // nodes)}",
        )
    if gpus + sizes.receivers > most:
        raise InputError(
            f"a block of combine has {MOST_COMBINE_WARPS} warps or fewer",
            f"receivers = {sizes.receivers}, {gpus} senders and a coordinator",
            f"receivers = {max(1, most - gpus)}",
        )
    if combine_block_words(sizes, topology) > BLOCK_WORDS:
        raise InputError(
            f"a block's roles share {BLOCK_WORDS} words or fewer",
            f"large_warp = {sizes.large_warp} for each of {nodes} x {gpus} sub-rings",
            f"large_warp = {max(1, (BLOCK_WORDS // nodes - 1 - gpus) // gpus)}",
        )
