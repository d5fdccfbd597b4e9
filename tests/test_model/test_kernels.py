"""The model with its experts spread over ranks that kernels connect: threads on the emulator, compared with one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.together import Meeting, run_ranks
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.runtime.chunk import ChunkRun
from dualpipe_ref.runtime.overlap import overlapped_forward_backward
from dualpipe_ref.simulate.lanes import published_order

TOPOLOGY = Topology(2, 2)
CONFIG = ModelConfig(
    vocabulary=11, hidden=16, layers=2, heads=2, head_dim=4, rotary_dim=2,
    key_value_latent=8, experts=4, experts_per_token=2, expert_hidden=8,
)  # fmt: skip
ROOM: dict[str, Any] = {"hidden": 16, "most_tokens": 12, "experts_per_token": 2}
VERSIONS: dict[str, Callable[[], Any]] = {
    "direct": lambda: Direct(Emulated(TOPOLOGY), num_sms=1, **ROOM),
    "queues": lambda: Queues(Emulated(TOPOLOGY), sizes=Sizes(), **ROOM),
}


def batch(seed: int) -> tuple[Tensor, Tensor]:
    both = torch.randint(11, (2, 7), generator=torch.Generator().manual_seed(seed))
    return both[:, :-1], both[:, 1:]


@pytest.mark.parametrize("version", VERSIONS)
def test_losses_and_gradients_are_those_of_one_process(version: str) -> None:
    whole = Stage(CONFIG, 0, 1, Buffer(Topology(1, 1), CONFIG.experts, Alone()))
    losses = [whole(*batch(rank)) for rank in range(TOPOLOGY.ranks)]
    sum(losses).backward()
    meeting = Meeting(VERSIONS[version]())

    def step(rank: int) -> tuple[Tensor, dict[str, Tensor]]:
        part = Stage(CONFIG, 0, 1, Buffer(TOPOLOGY, CONFIG.experts, meeting.of(rank)))
        loss = part(*batch(rank))
        loss.backward()
        named = part.names()
        return loss.detach(), {
            named[name]: one.grad for name, one in part.named_parameters() if one.grad is not None
        }

    found = run_ranks(step, TOPOLOGY.ranks, meetings=[meeting])
    for (loss, _), wanted in zip(found, losses, strict=True):
        assert torch.allclose(loss, wanted.detach(), rtol=1e-5)
    for name, one in whole.named_parameters():
        # An expert has all of its gradient on its rank; of the rest, each rank has that of its tokens.
        parts = [gradients[name] for _, gradients in found if name in gradients]
        assert len(parts) == (1 if ".held." in name else TOPOLOGY.ranks), name
        got = torch.stack(parts).sum(0)
        assert one.grad is not None
        assert torch.allclose(got, one.grad, rtol=1e-3, atol=1e-5 * float(one.grad.abs().max())), (
            name
        )
    # The planted fault: without the last rank's tokens the head's gradient is another one.
    fewer = torch.stack([gradients["head.weight"] for _, gradients in found[:-1]]).sum(0)
    assert not torch.allclose(fewer, whole.head.weight.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("version", VERSIONS)
def test_chunks_that_take_turns_leave_the_same_bits(version: str) -> None:
    """Part by part, with a thread a rank that talks to the others while it computes."""

    def pair(rank: int, meeting: Meeting, in_turns: bool) -> list[Tensor | None]:
        seat = meeting.of(rank, background=in_turns)
        part = Stage(CONFIG, 0, 1, Buffer(TOPOLOGY, CONFIG.experts, seat))
        new, old = ChunkRun(part.parts(), *batch(rank)), ChunkRun(part.parts(), *batch(rank + 9))
        old.forward()
        gradient = torch.ones_like(old.values[0])
        if in_turns:
            overlapped_forward_backward(new, old, gradient, published_order)
        else:
            new.forward()
            old.judge_back(gradient, split=False)
            old.backward(split=False)
        return [new.values[0].detach(), *(one.grad for one in part.parameters())]

    both = []
    for in_turns in (False, True):
        meeting = Meeting(VERSIONS[version]())
        both.append(
            run_ranks(
                lambda rank, meeting=meeting, in_turns=in_turns: pair(rank, meeting, in_turns),
                TOPOLOGY.ranks,
                meetings=[meeting],
            )
        )
    for one, other in zip(*both, strict=True):
        for got, wanted in zip(one, other, strict=True):
            assert got is not None
            assert wanted is not None
            assert torch.equal(got, wanted)
