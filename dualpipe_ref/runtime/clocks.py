"""How far the clocks of processes are apart, by messages that go there and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.distributed

Clock = Callable[[], int]
ROUNDS = 64


class Offset(NamedTuple):
    """A clock shows `offset` ns more than rank 0's, give or take `error`."""

    offset: float
    error: float


def measure_offsets(
    clock: Clock,
    group: torch.distributed.ProcessGroup | None = None,
    device: torch.device | str = "cpu",
    rounds: int = ROUNDS,
) -> list[Offset]:
    """On rank 0 of the group the offset of each rank's clock, in ns; elsewhere nothing. All ranks call it together.

    Rank 0 sends a message at `t0`, the other reads its clock `t` and answers, rank 0 has the answer at `t1`. Whatever
    the two ways took, rank 0's clock stood between `t0` and `t1` when the other's stood at `t`: the offset is
    `t - (t0 + t1) / 2`, and half of the round trip bounds the error. The shortest of all rounds is taken (Cristian,
    "Probabilistic clock synchronization", 1989). Rates are taken to be equal: measure again in a long run.

    >>> alone = {"store": torch.distributed.HashStore(), "rank": 0, "world_size": 1}
    >>> torch.distributed.init_process_group("gloo", **alone)
    >>> measure_offsets(lambda: 7)
    [Offset(offset=0.0, error=0.0)]
    >>> torch.distributed.destroy_process_group()
    """
    rank, ranks = torch.distributed.get_rank(group), torch.distributed.get_world_size(group)
    if rank:
        _answer(clock, group, device, rounds)
        return []
    others = (_shortest(clock, group, device, rounds, other) for other in range(1, ranks))
    return [Offset(0.0, 0.0), *others]


def _shortest(
    clock: Clock,
    group: torch.distributed.ProcessGroup | None,
    device: torch.device | str,
    rounds: int,
    other: int,
) -> Offset:
    ball, best = torch.zeros(1, dtype=torch.int64, device=device), Offset(0.0, float("inf"))
    for _ in range(rounds):
        sent = clock()
        torch.distributed.send(ball, group=group, group_dst=other)
        torch.distributed.recv(ball, group=group, group_src=other)
        theirs, here = int(ball.item()), clock()
        error = (here - sent) / 2
        if error < best.error:
            best = Offset(theirs - sent - error, error)
    return best


def _answer(
    clock: Clock,
    group: torch.distributed.ProcessGroup | None,
    device: torch.device | str,
    rounds: int,
) -> None:
    ball = torch.zeros(1, dtype=torch.int64, device=device)
    for _ in range(rounds):
        torch.distributed.recv(ball, group=group, group_src=0)
        ball.item()  # on a GPU the receive is over only then
        torch.distributed.send(ball.fill_(clock()), group=group, group_dst=0)
