"""Buffer over real processes, bit for bit as the oracle says; and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dualpipe_ref import InputError
from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.topology import Topology
from tests.ranks import run_ranks

from .worker import CASES

WORKER = "tests.test_comm.worker"


@pytest.mark.parametrize(("nodes", "gpus"), [(1, 2), (2, 2), (3, 1)])
def test_processes_give_what_the_oracle_gives(nodes: int, gpus: int, tmp_path: Path) -> None:
    arguments = (nodes, gpus, tmp_path / "store")
    for rank, ended in enumerate(run_ranks(WORKER, nodes * gpus, *arguments)):
        assert ended.returncode == 0, f"rank {rank}: {ended.stderr[-2000:]}"
        assert f"{CASES} cases agree" in ended.stdout


def test_a_row_that_is_wrong_is_seen(tmp_path: Path) -> None:
    """The planted fault."""
    ended = run_ranks(WORKER, 2, 1, 2, tmp_path / "store", "lost row")
    assert any("tokens differ" in one.stderr or "sums differ" in one.stderr for one in ended)


def routed(experts: list[list[int]]) -> Routing:
    table = torch.tensor(experts)
    return Routing(table, torch.ones(table.shape))


def test_alone_everything_stays_and_gradients_flow() -> None:
    buffer = Buffer(Topology(1, 1), 4, Alone())
    tokens = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    table = torch.tensor([[0, 3], [1, -1], [-1, -1]])
    weights = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)

    def through(tokens: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        received, handle = buffer.dispatch(tokens, Routing(table, weights))
        made = received.tokens**2 * received.weights.sum(dim=1, keepdim=True)
        return buffer.combine(made, handle)

    assert torch.autograd.gradcheck(through, (tokens, weights))
    assert through(tokens, weights)[2].tolist() == [0, 0]


def test_a_started_dispatch_is_finished_once() -> None:
    buffer = Buffer(Topology(1, 1), 2, Alone())
    started = buffer.start_dispatch(torch.ones(1, 2), routed([[0]]))
    assert started.wait() is started.wait()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="2 x 2 for 1"):
        Buffer(Topology(2, 2), 4, Alone())
    buffer = Buffer(Topology(1, 1), 4, Alone())
    with pytest.raises(InputError, match=r"tokens are \[T, H\]"):
        buffer.dispatch(torch.ones(2, 2), routed([[0]]))
    with pytest.raises(InputError, match="got 4 for token 0"):
        buffer.dispatch(torch.ones(1, 2), routed([[4]]))
    received, handle = buffer.dispatch(torch.ones(1, 2), routed([[0]]))
    with pytest.raises(InputError, match="got 2; nearest legal: 1"):
        buffer.combine(torch.ones(2, 2), handle)
    assert len(received.tokens) == 1
