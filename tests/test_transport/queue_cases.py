"""Queues for generated traffic, with sizes at the bounds of their rules, and runs of both phases that are compared with the oracle."""

from __future__ import annotations

import random
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.transport.base import Transport
from tests.test_transport.traffic import Traffic, bits, combined, dispatched, made

# As small as the rules allow: all rings wrap, and all who send have to wait.
SMALL = Sizes(
    senders=2,
    window=2,
    rdma_ring=4,
    rdma_chunk=2,
    nvl_ring=3,
    nvl_chunk=2,
    sub_ring=3,
    large_warp=2,
    receivers=2,
)


@st.composite
def sizes(draw: st.DrawFn, most_channels: int = 3) -> Sizes:
    """Sizes at the bounds of their rules, and some above."""
    return some_sizes(random.Random(draw(st.integers(0, 2**32))), most_channels)


def some_sizes(draw: random.Random, most_channels: int = 3) -> Sizes:
    """The same from a generator of the standard library."""
    chunk, nvl_chunk = draw.choice([1, 2, 3]), draw.choice([1, 2, 3])
    large_warp = draw.randint(1, chunk)
    return Sizes(
        channels=draw.randint(1, most_channels),
        senders=draw.choice([1, 2, 3]),
        window=draw.choice([1, 2, 5]),
        rdma_ring=chunk * draw.choice([2, 3]),
        rdma_chunk=chunk,
        nvl_ring=nvl_chunk + draw.choice([0, 1, 3]),
        nvl_chunk=nvl_chunk,
        sub_ring=nvl_chunk + large_warp - 1 + draw.choice([0, 1]),
        large_warp=large_warp,
        receivers=draw.choice([1, 2, 3]),
    )


def queues_of(traffic: Traffic, transport: Transport, **more: Any) -> Queues:
    """Queues for this traffic, small ones unless sizes are given."""
    given = {"sizes": SMALL, **more}
    return Queues(transport, hidden=traffic.hidden, experts_per_token=traffic.per_token, **given)


def both_phases(queues: Queues, traffic: Traffic, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Dispatch and combine with weights, each compared with the oracle in every bit; the bits of all sums."""
    totals = combined(queues, traffic, dispatched(queues, traffic), made(traffic, dtype))
    return torch.cat([bits(one) for one in totals])
