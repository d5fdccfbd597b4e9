"""Real processes on two nodes: the link has its rate, gloo goes on beside compute, the buffer is what the oracle says.

The one place where a measured time is compared with anything: what the link should take, generously.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.multinode.launching import Ended, run_nodes
from tests.multinode.namespaces import two_nodes, why_not

REASON = why_not() or ""
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)
RATE_MBIT = 200
ALL_TO_ALL = "tests.multinode.worker_alltoall"
BUFFER = "tests.multinode.worker_buffer"
BROKEN = "tests.multinode.worker_broken"
CORES = sorted(os.sched_getaffinity(0))
ONE_EACH = [[CORES[0]], [CORES[-1]]]


def good(ended: list[Ended]) -> list[Ended]:
    for rank, one in enumerate(ended):
        assert one.status == 0, f"node {rank}, status {one.status}: {one.errors[-2000:]}"
    return ended


def of_what_the_rate_says(rate_mbit: float | None, mebibytes: float = 4) -> list[float]:
    """For each node, the time of the fastest all-to-all over the time that its bytes need at RATE_MBIT."""
    with two_nodes(rate_mbit) as nodes:
        ended = good(run_nodes(nodes, ALL_TO_ALL, mebibytes, 5, cores=ONE_EACH))
        assert all(node.sent_and_dropped()[1] == 0 for node in nodes), "the link lost frames"
    found = [one.records()[0] for one in ended]
    for record in found:
        print(
            f"node {record['rank']}, core {record['cores']}: {record['bytes']} bytes a direction in"
            f" {record['fastest']:.4f} s (median {record['communication']:.4f}), {record['cpu']:.4f} s of them on the processor;"
            f" beside {record['compute']:.4f} s of compute {record['exposed']:.0%} stay exposed"
        )
    return [record["fastest"] / (record["bytes"] * 8 / (RATE_MBIT * 1e6)) for record in found]


def test_the_link_has_its_rate() -> None:
    assert all(0.7 < ratio < 1.6 for ratio in of_what_the_rate_says(RATE_MBIT))


@pytest.mark.slow
def test_without_a_rate_it_is_much_quicker() -> None:
    """Which also shows that the check above can fail."""
    assert all(ratio < 0.35 for ratio in of_what_the_rate_says(None))


def test_the_buffer_gives_what_the_oracle_gives() -> None:
    with two_nodes(RATE_MBIT) as nodes:
        for one in good(run_nodes(nodes, BUFFER, 12)):
            assert "12 cases agree" in one.output


@pytest.mark.slow
def test_two_processes_on_each_node() -> None:
    with two_nodes(RATE_MBIT) as nodes:
        for one in good(run_nodes(nodes, BUFFER, 24, processes=2)):
            assert one.output.count("24 cases agree") == 2


@pytest.mark.slow
def test_a_row_that_is_wrong_is_seen() -> None:
    """The planted fault."""
    with two_nodes(RATE_MBIT) as nodes:
        ended = run_nodes(nodes, BUFFER, 12, "lost row")
    assert any("tokens differ" in one.errors or "sums differ" in one.errors for one in ended)
    assert all(one.status != 0 for one in ended)


def is_running(process: str) -> bool:
    """Whether it exists and is more than an entry that no parent has asked for yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.parametrize(("how", "status"), [("hang", None), ("die", 1)])
def test_no_worker_outlives_its_run(how: str, status: int | None) -> None:
    assert is_running(str(os.getpid()))
    with two_nodes(None) as nodes:
        ended = run_nodes(nodes, BROKEN, how, processes=2, seconds=15)
        assert [node.processes() for node in nodes] == [[], []]
    assert ended[1].status == status
    if how == "die":
        assert "node 1 has died" in ended[1].errors
    started = [line.split()[-1] for one in ended for line in one.output.splitlines()]
    assert started
    until = time.monotonic() + 5
    while any(map(is_running, started)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [process for process in started if is_running(process)]
