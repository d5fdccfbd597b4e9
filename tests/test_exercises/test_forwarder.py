"""What exercise 14 is judged by: its sums are those of the oracle in torch, its bench lets every right forwarder through."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.grading import evaluate
from dualpipe_ref.grading.exercises import find_exercise
from exercises.ch14.checks import BFLOAT16, FLOAT32, TYPES, two_levels
from exercises.ch14.machine import Bench, Rings

SOLUTION = evaluate.load(
    evaluate.compiled(find_exercise("ch14").solution.read_text("utf-8"), "solution.py")
)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.sampled_from([BFLOAT16, FLOAT32]), st.data())
def test_sums_are_those_of_the_oracle(
    nodes: int, gpus: int, bits: int, data: st.DataObject
) -> None:
    """Bit for bit `comm.reference` with its order "two levels"."""
    torch = pytest.importorskip("torch")
    from dualpipe_ref.comm import reference
    from dualpipe_ref.comm.routing import Routing
    from dualpipe_ref.comm.topology import Topology

    ranks, topology = nodes * gpus, Topology(nodes, gpus)
    wanted = sorted(data.draw(st.sets(st.integers(0, ranks - 1), min_size=1)))
    # Both zeros are equal, and numbers so small that float32 has fewer digits for them are left out.
    numbers = st.floats(-(2.0**20), 2.0**20, width=32).filter(lambda one: abs(one) > 2.0**-60)
    of_token = {rank: TYPES[bits](data.draw(numbers)) for rank in wanted}
    dtype = torch.bfloat16 if bits == BFLOAT16 else torch.float32
    routing = Routing(torch.tensor([wanted]), torch.ones(1, len(wanted), dtype=dtype))
    nothing = Routing(routing.experts[:0], routing.weights[:0])
    inputs = [torch.zeros(int(rank == 0), 1, dtype=dtype) for rank in range(ranks)]
    routings = [nothing if rank else routing for rank in range(ranks)]
    received = reference.dispatch(inputs, routings, topology, ranks)
    outputs = [
        torch.full((len(one.tokens), 1), of_token.get(rank, 0.0), dtype=dtype)
        for rank, one in enumerate(received)
    ]
    counts = [len(one) for one in inputs]
    found = reference.combine(outputs, received, counts, topology, "two levels")[0]
    assert two_levels(of_token, gpus, bits) == float(found[0, 0])


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 3),
    st.lists(st.lists(st.integers(1, 7), max_size=6), min_size=1, max_size=3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 10**6),
    st.integers(1, 3),
)
def test_a_right_forwarder_is_let_through(
    gpus: int, masks: list[list[int]], rdma: int, nvlink: int, seed: int, most: int
) -> None:
    """The solution, and the same in turns of at most so many operations."""
    incoming = [[(at, mask & (1 << gpus) - 1) for at, mask in enumerate(one)] for one in masks]

    def slowly(state: object, *seen: object) -> tuple[object, object]:
        inner, left = state or (None, [])  # type: ignore[misc]
        if not left:
            inner, left = SOLUTION.forward(inner, *seen)
        return (inner, left[most:]), left[:most]

    for turn in (SOLUTION.forward, slowly):
        bench = Bench(incoming, gpus, Rings(rdma, nvlink), turn, seed)
        bench.run()
        taken = sum(map(len, bench.taken))
        assert taken == sum(mask.bit_count() for one in incoming for _, mask in one)
