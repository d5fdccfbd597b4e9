"""`Buffer` on one GPU: a thread and streams for each rank, gradients too; results as in `tests/test_comm/test_versions.py`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.together import Meeting, run_ranks
from tests.gpu.conftest import IS_EMULATED
from tests.test_comm.cases import Case
from tests.test_comm.test_versions import check
from tests.test_comm.versions import Version
from tests.test_transport.traffic import drawn

TOKENS, HIDDEN, ROUNDS = (6, 24, 2) if IS_EMULATED else (500, 2048, 20)
VERSIONS = {"direct": Direct, "queues": Queues}


def case_on(device: torch.device, seed: int, dtype: torch.dtype, kind: str = "holes") -> Case:
    """Two nodes of two GPUs."""
    traffic = drawn(2, 2, TOKENS, seed, hidden=HIDDEN, dtype=dtype, kind=kind)
    routings = [
        type(one.routing)(*(part.to(device) for part in one.routing)) for one in traffic.outgoing
    ]
    inputs = [one.tokens.to(device) for one in traffic.outgoing]
    return Case(traffic.topology, traffic.experts, inputs, routings)


def meeting_of(version: str, case: Case, transport: Any) -> Meeting:
    exchange = VERSIONS[version](
        transport,
        hidden=HIDDEN,
        most_tokens=TOKENS,
        experts_per_token=case.routings[0].experts.shape[1],
        num_sms=2 if IS_EMULATED else min(20, transport.sms_per_rank // 2 * 2),
    )
    return Meeting(exchange, patience=120)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("version", VERSIONS)
def test_bits_and_gradients(
    version: str, dtype: torch.dtype, transport_of: Callable[..., Any]
) -> None:
    transport = transport_of(2, 2)
    meeting = meeting_of(version, case_on(transport.device, 0, dtype), transport)
    ends = [meeting.of(rank) for rank in range(4)]
    of_gpu = Version(version, lambda _: (ends, [meeting]), "two levels", (dtype,), (HIDDEN,), 1, 4)
    for seed, kind in enumerate(("holes", "even", "one expert", "nowhere")):
        check(case_on(transport.device, seed, dtype, kind), of_gpu)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stream_that_is_behind_is_waited_for(
    version: str, transport_of: Callable[..., Any]
) -> None:
    """Tokens that are still being computed when they are dispatched, in streams of the ranks' own, with more work beside it."""
    transport = transport_of(2, 2)
    case = case_on(transport.device, 1, torch.bfloat16)
    meeting = meeting_of(version, case, transport)
    buffers = [
        Buffer(case.topology, case.experts, meeting.of(rank, background=True)) for rank in range(4)
    ]
    is_gpu = transport.device.type == "cuda"
    weight = torch.eye(4096 if is_gpu else 8, device=transport.device)

    def rounds(rank: int) -> list[bool]:
        tokens, routing, equal = case.inputs[rank], case.routings[rank], []
        with torch.cuda.stream(torch.cuda.Stream()) if is_gpu else nullcontext():
            for number in range(ROUNDS):
                late = weight
                for _ in range(20):
                    late = late @ weight
                made = tokens * late[0, 0].to(tokens.dtype) * (number + 1)
                moving = buffers[rank].start_dispatch(made, routing)
                beside = weight @ weight
                received, handle = moving.wait()
                back = buffers[rank].start_combine(received.tokens, handle)
                beside = beside @ weight
                # Each of a token's ranks sent it back once.
                ranks = handle.layout.to_rank.sum(1, keepdim=True)
                near = torch.allclose(
                    back.wait().float(), tokens.float() * (number + 1) * ranks, rtol=0.02
                )
                equal.append(near and float(beside[0, 0]) == 1)
        return equal

    assert run_ranks(rounds, 4, meetings=[meeting]) == [[True] * ROUNDS] * 4
