"""Every operation of a role has a site in the table, and every site is one that some role passes."""

from __future__ import annotations

from dualpipe_ref.comm.protocol import (
    Combine,
    Dispatch,
    Sizes,
    handle_of,
    rdma_ring_world,
    ring_world,
    run,
)
from dualpipe_ref.comm.protocol.mutations import some_routes
from dualpipe_ref.comm.protocol.sites import SITES


def test_the_table_is_complete_and_has_nothing_else() -> None:
    """A narrow window, so that its waiting is seen too."""
    passed: set[str] = set()

    def observe(memory, operation) -> None:
        passed.add(operation.site)

    run(ring_world(3, 2), 0, observe=observe)
    run(rdma_ring_world(3, 2), 0, observe=observe)
    sizes = Sizes(senders=3, window=1)
    for seed in range(6):
        dispatch = Dispatch(some_routes(seed), sizes)
        records = run(dispatch.world, seed, observe=observe).records
        combine = Combine(dispatch.routes, sizes, handle_of(dispatch, records))
        assert run(combine.world, seed, observe=observe).is_right
    assert passed == set(SITES)
