"""Generated routings and sizes, and both phases one after the other."""

from __future__ import annotations

from hypothesis import strategies as st

from dualpipe_ref.comm.protocol import Combine, Dispatch, Outcome, Routes, Sizes, handle_of, run
from dualpipe_ref.comm.topology import Topology

Tokens = tuple[tuple[int, ...], ...]


def routes_of(nodes: int, gpus: int, tokens: dict[int, list[tuple[int, ...]]]) -> Routes:
    """A routing in which each rank holds one expert; `tokens` are those of the ranks that have any."""
    topology = Topology(nodes, gpus)
    mine = tuple(tuple(tokens.get(rank, ())) for rank in range(topology.ranks))
    return Routes(topology, topology.ranks, mine)


def both(
    routes: Routes, sizes: Sizes, seed: int, is_weak: bool = False
) -> tuple[Outcome, Outcome | None]:
    """Dispatch, then combine with the handle that it left; None where dispatch failed."""
    dispatch = Dispatch(routes, sizes)
    one = run(dispatch.world, seed, is_weak, keep=30)
    if not one.is_right:
        return one, None
    combine = Combine(routes, sizes, handle_of(dispatch, one.records))
    return one, run(combine.world, seed, is_weak, keep=30)


@st.composite
def routings(draw: st.DrawFn) -> Routes:
    """1 to 3 nodes of 1 to 4 GPUs; tokens for anyone, for one expert alone, for nobody; ranks and experts without any."""
    topology = Topology(draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    experts = topology.ranks * draw(st.integers(1, 2))
    popular = draw(st.integers(1, experts))
    each = draw(st.integers(0, min(popular, 4)))
    share = st.lists(st.integers(0, popular - 1), min_size=each, max_size=each, unique=True)
    empty = draw(st.booleans())

    def token() -> tuple[int, ...]:
        chosen = draw(share)
        return (*chosen[:-1], -1) if chosen and empty and draw(st.booleans()) else tuple(chosen)

    counts = [draw(st.integers(0, 5)) for _ in range(topology.ranks)]
    return Routes(topology, experts, tuple(tuple(token() for _ in range(n)) for n in counts))


@st.composite
def legal_sizes(draw: st.DrawFn) -> Sizes:
    """Any sizes within the rules, the tightest among them."""
    chunk, nvl_chunk = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    large_warp = draw(st.integers(1, chunk))
    return Sizes(
        channels=draw(st.integers(1, 2)),
        senders=draw(st.integers(1, 3)),
        window=draw(st.sampled_from([1, 2, 32])),
        rdma_ring=chunk * draw(st.integers(2, 3)),
        rdma_chunk=chunk,
        nvl_ring=nvl_chunk + draw(st.integers(0, 2)),
        nvl_chunk=nvl_chunk,
        sub_ring=nvl_chunk + large_warp - 1 + draw(st.integers(0, 1)),
        large_warp=large_warp,
        receivers=draw(st.integers(1, 3)),
        parts=draw(st.integers(1, 2)),
    )
