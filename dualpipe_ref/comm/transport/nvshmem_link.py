"""The link between nodes: NVSHMEM's puts and signals. Importing this imports NVSHMEM's device functions, and so Numba.

Functions of NVSHMEM take the destination first, then the source, then the peer (as compiled; the docstrings of nvshmem4py
0.4.1 have it otherwise), and addresses of the own heap: that of the peer is at the same offset.
"""

from __future__ import annotations

from nvshmem.bindings.device.numba import fence, int64_put_nbi_warp, signal_op

from dualpipe_ref.comm.kernels.assembly import pointer
from dualpipe_ref.comm.kernels.machine import device, ptx

# `nvshmem.core.SignalOp.SIGNAL_ADD`; test_nvshmem compares.
SIGNAL_ADD = 10
to_words = pointer(signed=True)
to_signal = pointer(signed=False)


@device
def put(plan, rank, peer, channel, target, source, size):
    """Start writing `size` bytes at `source` of this rank's heap to `target` of the peer's. A warp; see `copying.put`."""
    here = ptx.ld_i64(plan.heaps + 8 * rank)
    int64_put_nbi_warp(to_words(here + target), to_words(here + source), size // 8, peer)


@device
def add(plan, rank, peer, channel, target, amount):
    """Add to a word of the peer's heap, after what was put before. One lane.

    The fence is what orders them: NVSHMEM promises no order between a put and a later signal without it.
    """
    here = ptx.ld_i64(plan.heaps + 8 * rank)
    fence()
    signal_op(to_signal(here + target), amount, SIGNAL_ADD, peer)
