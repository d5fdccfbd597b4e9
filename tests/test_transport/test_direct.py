"""Direct slots on the emulator: every bit as the oracle has it, whatever the topology, the routing and the schedule."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.exchange import Exchange
from dualpipe_ref.comm.kernels.direct_plan import Warps
from dualpipe_ref.comm.kernels.message import Message
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.comm.transport.emulated.rdma import PIECE, Posted, Rdma
from tests.test_transport.traffic import (
    KINDS,
    Traffic,
    bits,
    combined,
    dispatched,
    drawn,
    made,
    sums,
    traffics,
)

SMALL = Warps(1, 1, 1)


def direct_of(traffic: Traffic, transport: Emulated, **more: Any) -> Direct:
    """A small one for this traffic: few warps, so that roles share turns."""
    most = max([len(one.tokens) for one in traffic.outgoing] + [1])
    scales = traffic.outgoing[0].scales
    sizes = {"num_sms": 2, "dispatch_warps": SMALL, "combine_warps": SMALL, "run": 2, **more}
    return Direct(
        transport,
        hidden=traffic.hidden,
        most_tokens=most,
        experts_per_token=traffic.per_token,
        scales_per_token=0 if scales is None else scales.shape[1],
        **sizes,
    )


@st.composite
def sizes(draw: st.DrawFn) -> dict[str, Any]:
    """Blocks, warps of each role, messages of a run."""
    warps = st.builds(Warps, *[st.integers(1, 2)] * 3)
    return {
        "num_sms": draw(st.integers(1, 3)),
        "dispatch_warps": draw(warps),
        "combine_warps": draw(warps),
        "run": draw(st.integers(1, 5)),
    }


@st.composite
def transports(draw: st.DrawFn, traffic: Traffic) -> Emulated:
    return Emulated(
        traffic.topology,
        draw(st.integers(0, 2**31)),
        lanes=draw(st.sampled_from([4, 8])),
        weak=draw(st.booleans()),
        link=draw(st.sampled_from(["rdma", "copying"])),
    )


DTYPES = (torch.bfloat16, torch.float32)


@settings(max_examples=60)
@given(st.data())
def test_dispatch_and_combine_are_the_oracle_s_in_every_bit(data: st.DataObject) -> None:
    are_the_oracle_s(data)


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.data())
def test_they_are_in_many_more_runs(data: st.DataObject) -> None:
    are_the_oracle_s(data)


def are_the_oracle_s(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    traffic = data.draw(traffics(dtype))
    transport = data.draw(transports(traffic))
    direct: Exchange = direct_of(traffic, transport, **data.draw(sizes()))
    handles = dispatched(direct, traffic)
    back = made(traffic, dtype)
    combined(direct, traffic, handles, back, weights=data.draw(st.booleans()))
    assert not transport.races.found


@settings(max_examples=20)
@given(st.data())
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float16])
def test_scales_travel_with_rows_of_any_type(dtype: torch.dtype, data: st.DataObject) -> None:
    traffic = data.draw(traffics(dtype, scales=True))
    direct = direct_of(traffic, data.draw(transports(traffic)), **data.draw(sizes()))
    dispatched(direct, traffic)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (2, 2)])
def test_routings_of_every_kind_on_every_kind_of_topology(kind: str, shape: Any) -> None:
    for most in (0, 1, 9):
        traffic = drawn(*shape, most, seed=most, kind=kind)
        direct = direct_of(traffic, Emulated(traffic.topology, seed=most, weak=True))
        combined(direct, traffic, dispatched(direct, traffic), made(traffic, torch.bfloat16))


def test_the_default_blocks_and_warps() -> None:
    traffic = drawn(2, 2, 30, seed=5)
    direct = Direct(Emulated(traffic.topology), hidden=24, most_tokens=30, experts_per_token=3)
    combined(direct, traffic, dispatched(direct, traffic), made(traffic, torch.bfloat16))


def test_a_version_is_used_again_for_other_tokens_types_and_numbers() -> None:
    """What an earlier call left in the slots and words is never taken for the next one's."""
    transport = Emulated(drawn(2, 2, 0, 0).topology, weak=True)
    first = drawn(2, 2, 9, seed=1)
    direct = Direct(
        transport,
        hidden=24,
        most_tokens=9,
        experts_per_token=3,
        num_sms=2,
        dispatch_warps=SMALL,
        combine_warps=SMALL,
    )
    before = dispatched(direct, first)
    for seed in range(4):
        dtype = (torch.float32, torch.bfloat16)[seed % 2]
        other = drawn(2, 2, 9, seed=10 + seed, dtype=dtype, experts_per_rank=1 + seed)
        handles = dispatched(direct, other)
        combined(direct, other, handles, made(other, dtype, seed))
        combined(direct, first, before, made(first, dtype, seed))


@pytest.mark.parametrize("seed", range(4))
def test_with_handles_notify_is_skipped(seed: int) -> None:
    traffic, launched = drawn(2, 2, 9, seed), []
    transport = Emulated(traffic.topology, seed)
    launch = transport.launch
    transport.launch = lambda kernel, *rest, **more: (  # type: ignore[method-assign]
        launched.append(kernel.__name__),
        launch(kernel, *rest, **more),
    )
    direct = direct_of(traffic, transport)
    handles = dispatched(direct, traffic)
    gradients = [one._replace(tokens=-one.tokens) for one in traffic.outgoing]
    again = dispatched(direct, traffic._replace(outgoing=gradients), handles)
    assert launched == ["notify", "dispatch", "dispatch"]
    combined(direct, traffic, again, made(traffic, torch.bfloat16))


@pytest.mark.parametrize("back", [False, True], ids=["dispatch", "combine"])
def test_between_nodes_goes_one_message_for_a_token_and_node(
    back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted at the emulated network card, against what a layout says."""
    traffic = drawn(3, 2, 12, seed=4, dtype=torch.bfloat16)
    direct = direct_of(traffic, Emulated(traffic.topology))
    handles, crossed = dispatched(direct, traffic), Counter[int]()
    post = Rdma._post

    def counting(card: Rdma, pair: tuple[int, int, int], posted: list[Posted]) -> None:
        rank, peer, _ = pair
        if traffic.topology.node_of(rank) != traffic.topology.node_of(peer):
            bytes_put = PIECE * sum(not one.is_add for one in posted)
            crossed[peer if back else rank] += bytes_put
        post(card, pair, posted)

    monkeypatch.setattr(Rdma, "_post", counting)
    if back:
        combined(direct, traffic, handles, made(traffic, torch.bfloat16), weights=False)
        size = Message(2 * traffic.hidden).size
    else:
        dispatched(direct, traffic, handles)
        size = Message(2 * traffic.hidden, 0, 3, 3, meta=1 + 2).size
    wanted = {rank: handle.layout.bytes_over(rank, size)[0] for rank, handle in enumerate(handles)}
    assert crossed == wanted
    assert min(wanted.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("weak", [False, True])
def test_64_ranks(weak: bool) -> None:
    traffic = drawn(8, 8, 16, seed=1, hidden=64, per_token=8, experts_per_rank=1, kind="even")
    transport = Emulated(traffic.topology, 3, lanes=8, weak=weak)
    direct = direct_of(traffic, transport)
    combined(direct, traffic, dispatched(direct, traffic), made(traffic, torch.bfloat16))
    assert not transport.races.found


def test_the_same_bits_under_20_schedules() -> None:
    traffic = drawn(2, 3, 12, seed=3)
    back, seen = made(traffic, torch.bfloat16), []
    for seed in range(20):
        direct = direct_of(traffic, Emulated(traffic.topology, seed, weak=seed % 2 == 1))
        totals = combined(direct, traffic, dispatched(direct, traffic), back)
        seen.append(torch.cat([bits(one).flatten() for one in totals]))
    assert all(torch.equal(one, seen[0]) for one in seen)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_error_of_sums_is_that_of_two_roundings(dtype: torch.dtype) -> None:
    """Against float64, relative to the sum of sizes: each level rounds once, and adds in float32."""
    traffic = drawn(4, 4, 20, seed=2, per_token=4, experts_per_rank=1, kind="even")
    direct = direct_of(traffic, Emulated(traffic.topology))
    back = made(traffic, dtype)
    totals = combined(direct, traffic, dispatched(direct, traffic), back)
    exact = sums(traffic, [one.double() for one in back.rows], "flat")
    sizes = sums(traffic, [one.double().abs() for one in back.rows], "flat")
    worst = max(
        float(((total.double() - right).abs() / size).nan_to_num().max())
        for total, right, size in zip(totals, exact, sizes, strict=True)
        if len(total)
    )
    unit = torch.finfo(dtype).eps / 2
    adding = 8 * torch.finfo(torch.float32).eps / 2
    assert 0 < worst <= (1 + unit) * (1 + unit) - 1 + adding
