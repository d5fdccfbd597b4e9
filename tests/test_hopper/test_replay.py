"""What was launched once, started again: the same bits; and the bytes that it moves, counted, against the formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.comm.transport.emulated.ptx import Ptx
from dualpipe_ref.hopper.arithmetic import combine_traffic, copies, dispatch_traffic
from dualpipe_ref.hopper.replay import Launch, Listening, Zero, again
from dualpipe_ref.schedule.errors import InputError

# Rows of two steps of a warp of the emulator: of others combine loads the last piece twice.
HIDDEN, CHOICES = 32, 2


def direct(transport: Any) -> Any:
    return Direct(transport, hidden=HIDDEN, most_tokens=4, experts_per_token=CHOICES, num_sms=1)


def queues(transport: Any) -> Any:
    return Queues(transport, hidden=HIDDEN, experts_per_token=CHOICES, sizes=Sizes(channels=1))


VERSIONS = (direct, queues)
topologies = st.builds(Topology, st.integers(1, 2), st.integers(1, 2))


def outgoing(topology: Topology, tokens: int, seed: int) -> list[Outgoing]:
    draw = torch.Generator().manual_seed(seed)
    experts = 2 * topology.ranks
    return [
        Outgoing(
            torch.randn(tokens, HIDDEN, generator=draw),
            Routing(
                torch.rand(tokens, experts, generator=draw).topk(CHOICES, dim=1).indices,
                torch.rand(tokens, CHOICES, generator=draw),
            ),
        )
        for _ in range(topology.ranks)
    ]


def last_launch(steps: Sequence[Zero | Launch]) -> Launch:
    return next(step for step in reversed(steps) if isinstance(step, Launch))


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=4)
@given(topology=topologies, tokens=st.integers(1, 4), seed=st.integers(0, 99))
def test_started_again_it_gives_the_same_bits(
    version: Callable[[Any], Any], topology: Topology, tokens: int, seed: int
) -> None:
    heard = Listening(Emulated(topology, seed, link="copying"))
    exchange = version(heard)
    sent = outgoing(topology, tokens, seed)
    received, handles = zip(*exchange.dispatch(sent, 2 * topology.ranks), strict=True)
    heard.taken()
    exchange.dispatch(sent, 2 * topology.ranks, handles)
    dispatch = heard.taken()
    sums = exchange.combine([one.tokens for one in received], handles)
    combine = heard.taken()
    for steps, wanted in ((dispatch, received), (combine, sums)):
        # The outputs of the last launch are those of these steps: make them wrong, and start again.
        rooms = [one for one in last_launch(steps).tensors if one.dtype == torch.float32]
        kept = [one.clone() for one in rooms]
        for _ in range(2):
            for room in rooms:
                if any(room.data_ptr() == one[0].data_ptr() for one in wanted):
                    room.fill_(float("nan"))
            again(heard.inner, steps)
            assert all(torch.equal(a, b) for a, b in zip(rooms, kept, strict=True))


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=5)
@given(topology=topologies, tokens=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_formulas_count_what_kernels_move(
    version: Callable[[Any], Any], topology: Topology, tokens: int, seed: int
) -> None:
    moved = [0]

    def counting(name: str) -> Callable[..., Any]:
        plain = getattr(Ptx, name)

        def counted(self: Any, *arguments: Any) -> Any:
            moved[0] += 16
            return plain(self, *arguments)

        return counted

    heard = Listening(Emulated(topology, seed, link="copying"))
    exchange = version(heard)
    sent = outgoing(topology, tokens, seed)
    received, handles = zip(*exchange.dispatch(sent, 2 * topology.ranks), strict=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ld_v4", "ld_v4_constant", "st_v4"):
            patch.setattr(Ptx, name, counting(name))
        # Without notify, which moves counts.
        exchange.dispatch(sent, 2 * topology.ranks, handles)
        dispatched, moved[0] = moved[0], 0
        message = last_launch(heard.taken()).plan.message.size
        exchange.combine([one.tokens for one in received], handles)
    layouts = [handle.layout for handle in handles]
    made = copies(
        sum(int(one.to_node.sum()) for one in layouts),
        sum(int(one.to_rank.sum()) for one in layouts),
        sum(int(one.to_node[:, topology.node_of(rank)].sum()) for rank, one in enumerate(layouts)),
        version.__name__,
    )
    assert dispatched == dispatch_traffic(made, message, 4 * HIDDEN).total
    assert moved[0] == combine_traffic(made, tokens * topology.ranks, 4 * HIDDEN).total


def test_nothing_to_start_again() -> None:
    heard = Listening(Emulated(Topology(1, 1)))
    heard.heaps(64)
    heard.zero(0, 8)
    with pytest.raises(InputError, match="has been launched once; got no launch"):
        heard.taken()
