"""Both versions on one GPU: every bit as the oracle has it, however often; a rank that does not come is named."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.errors import CommTimeout
from dualpipe_ref.comm.queues import Queues
from tests.gpu.conftest import IS_EMULATED
from tests.gpu.on_device import OnDevice
from tests.test_transport.traffic import KINDS, Traffic, combined, dispatched, drawn, made

SHAPES = [(1, 1), (1, 4), (2, 2), (2, 4), (4, 2)]
# In the emulator a lane costs time, and the point is only that these tests run.
SHAPES = SHAPES[2:3] if IS_EMULATED else SHAPES
TOKENS, HIDDEN, ROUNDS = (6, 24, 2) if IS_EMULATED else (500, 7168, 20)
LONGEST = 60.0
DTYPES = [torch.bfloat16, torch.float32]


def version(kind: str, traffic: Traffic, transport: Any, **more: Any) -> OnDevice:
    sizes = {
        "hidden": traffic.hidden,
        "most_tokens": max(1, *(len(one.tokens) for one in traffic.outgoing)),
        "experts_per_token": traffic.per_token,
        "num_sms": min(transport.sms_per_rank // 2 * 2, 20 if not IS_EMULATED else 2),
        **more,
    }
    made_of = {"direct": Direct, "queues": Queues}[kind]
    return OnDevice(made_of(transport, **sizes), transport.device)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", ["direct", "queues"])
def test_dispatch_and_combine_are_the_oracle_s_in_every_bit(
    kind: str, dtype: torch.dtype, shape: tuple[int, int], transport_of: Callable[..., Any]
) -> None:
    for seed, routing in enumerate(KINDS):
        traffic = drawn(*shape, TOKENS, seed, hidden=HIDDEN, kind=routing, dtype=dtype)
        exchange = version(kind, traffic, transport_of(*shape))
        handles = dispatched(exchange, traffic)
        combined(exchange, traffic, handles, made(traffic, dtype))
        # With the same handles again, no counts are exchanged.
        combined(exchange, traffic, dispatched(exchange, traffic, handles), made(traffic, dtype))


@pytest.mark.parametrize("kind", ["direct", "queues"])
def test_every_round_gives_the_same_bits(kind: str, transport_of: Callable[..., Any]) -> None:
    traffic = drawn(2, 2, TOKENS, seed=7, hidden=HIDDEN)
    exchange = version(kind, traffic, transport_of(2, 2))
    for _ in range(ROUNDS):  # each is compared with the same oracle
        handles = dispatched(exchange, traffic)
        combined(exchange, traffic, handles, made(traffic, torch.bfloat16))


@pytest.mark.parametrize("kind", ["direct", "queues"])
def test_a_rank_that_does_not_come_is_named(kind: str, transport_of: Callable[..., Any]) -> None:
    traffic = drawn(2, 1, TOKENS, seed=3, hidden=HIDDEN, kind="even")
    exchange = version(kind, traffic, transport_of(2, 1, absent=1), seconds=0.5)
    words = r"on rank 0 waited 0\.5 s for counts of rank 1: count was 0, at least 1 expected"
    began = time.monotonic()
    with pytest.raises(CommTimeout, match=words):
        dispatched(exchange, traffic)
    # Compiling takes its time, too; a GPU that hangs takes for ever.
    assert time.monotonic() - began < LONGEST
    # The GPU is as before: what comes next has the right bits.
    again = version(kind, traffic, transport_of(2, 1))
    combined(again, traffic, dispatched(again, traffic), made(traffic, torch.bfloat16))
