"""The link where every heap is mapped: a put is a copy by the warp, as on one GPU and over CUDA IPC."""

from __future__ import annotations

from dualpipe_ref.comm.kernels.machine import cuda, device, ptx
from dualpipe_ref.comm.kernels.moving import copy


@device
def put(plan, rank, peer, channel, target, source, size):
    """Write `size` bytes at `source` of this rank's heap to `target` of the peer's. A warp; sizes are multiples of 16.

    Puts and adds to one peer on one channel arrive in their order.
    """
    here = ptx.ld_i64(plan.heaps + 8 * rank)
    there = ptx.ld_i64(plan.heaps + 8 * peer)
    copy(there + target, here + source, size)
    cuda.syncwarp()  # before the lane that adds releases what all lanes wrote


@device
def add(plan, rank, peer, channel, target, amount):
    """Add to a word of the peer's heap, after what was put before. One lane."""
    ptx.red_add_release_sys(ptx.ld_i64(plan.heaps + 8 * peer) + target, amount)
