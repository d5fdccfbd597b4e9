"""Processes that meet, where one ends, hangs, or disagrees: all others say which, and in time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch.distributed as dist

from dualpipe_ref.comm.errors import PEER, RANK, CommTimeout, Role, first_cause
from dualpipe_ref.comm.kernels.direct_plan import ROLES as DIRECT_ROLES
from dualpipe_ref.comm.kernels.queue_roles import ROLES as QUEUE_ROLES
from dualpipe_ref.comm.kernels.waiting import TAIL
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.comm.transport.processes import Processes
from dualpipe_ref.schedule.errors import InputError
from tests.ranks import SECONDS, run_ranks
from tests.test_transport.queue_cases import queues_of
from tests.test_transport.test_direct import direct_of
from tests.test_transport.traffic import dispatched, drawn

RANKS = 3


def said(case: str, folder: Path, seconds: float) -> list[str]:
    """What each rank printed; the last one where it is gone prints nothing."""
    ended = run_ranks(
        "tests.test_transport.process_worker", RANKS, RANKS, folder / "store", case, seconds
    )
    assert [one.returncode for one in ended] == [0] * RANKS, ended
    return [one.stdout.strip() for one in ended]


@pytest.mark.parametrize(("case", "seconds"), [("ends", 10 * SECONDS), ("hangs", 1)])
def test_a_process_that_is_missing_is_named_by_the_others(
    case: str, seconds: float, tmp_path: Path
) -> None:
    """One that ended at once, long before the limit: else `run_ranks` would not wait so long. Where one hangs, a process
    that is a little later may hear of the limit from one that gave up, and name that one."""
    *others, last = said(case, tmp_path, seconds)
    for rank, one in enumerate(others):
        words = rf"host on rank {rank} waited \d+\.\d s for arrival of rank [012]: count was 0, at least 1 expected; no word of .*"
        assert re.fullmatch(words, one)
    assert any("of rank 2" in one for one in others)
    if case == "ends":
        assert all("of rank 2" in one for one in others)
        assert last == ""


def test_ranks_that_disagree_all_say_the_same(tmp_path: Path) -> None:
    words = "all ranks have one size of heaps in bytes; got 64 on rank 0, 1; 65 on rank 2"
    assert said("disagrees", tmp_path, 60) == [words] * RANKS


def test_of_records_of_several_processes_the_cause_is_told(tmp_path: Path) -> None:
    """Rank 0 waits for rank 1, which waits for rank 2, which says nothing: all say what rank 1 waited for."""
    words = "receiver on rank 1 waited 1.0 s for rows of rank 2: tail was 0, at least 1 expected; head 0; no word of rank 2"
    assert said("waits", tmp_path, 2) == [words, words, ""]


def test_a_group_that_is_none_or_has_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"find one another in a process group; got none"):
        Processes(None, Topology(1, 2), 1)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        with pytest.raises(InputError, match=r"got 1 processes for 2 nodes x 4 GPUs; .* 8 proc"):
            Processes(None, Topology(2, 4), 1)
        alone = Processes(None, Topology(1, 1), 1)
        alone.meet()
        assert alone.who_gave_up([1, 2]) == [[1, 2]]
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(
    ("waits", "cause"),
    [
        ([(0, 1), (1, 3), (2, 1)], (1, 3)),  # the victim was first
        ([(2, 3), (0, 3), (1, 0)], (2, 3)),  # of two that are near the cause, the earlier
        ([(1, 2), (0, 1), (2, 0), (3, 0)], (1, 2)),  # all gave up: the earliest
        ([(1, 1)], (1, 1)),  # for another warp of its own
    ],
)
def test_the_first_cause(waits: list[tuple[int, int]], cause: tuple[int, int]) -> None:
    records = [[1, 0, 0, *pair, TAIL, 0, 0, 1, 10**9] for pair in waits]
    error = first_cause(records, (Role("receiver", "rows"),), range(4))
    assert (error.rank, error.peer) == cause
    assert error.silent == tuple(sorted({0, 1, 2, 3} - {rank for rank, _ in waits}))


@pytest.mark.parametrize("absent", range(4))
@pytest.mark.parametrize("version", ["direct", "queues"])
def test_what_emulated_ranks_say_of_one_that_is_absent(version: str, absent: int) -> None:
    """A record of each rank that was the first to give up in some schedule, as if each had been alone in its process."""
    make, roles = {"direct": (direct_of, DIRECT_ROLES), "queues": (queues_of, QUEUE_ROLES)}[version]
    traffic = drawn(2, 2, 12, seed=7, hidden=8, kind="even")
    records: dict[int, Sequence[int]] = {}
    for seed in range(4):
        transport = Emulated(traffic.topology, seed, when_stuck="time out")
        exchange = make(traffic, transport, seconds=2.0)
        handles = dispatched(exchange, traffic)
        transport.absent = frozenset([absent])

        def told(record: Sequence[int]) -> list[Sequence[int]]:
            return [records.setdefault(record[RANK], record)]

        transport.who_gave_up = told  # type: ignore[method-assign]
        with pytest.raises(CommTimeout):
            exchange.dispatch(traffic.outgoing, traffic.experts, handles)
    error = first_cause(list(records.values()), roles, range(4))
    assert absent in error.silent
    assert f"no word of rank {', '.join(map(str, error.silent))}" in str(error)
    if any(one[PEER] == absent for one in records.values()):
        assert error.peer not in records
