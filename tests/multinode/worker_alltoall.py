"""One rank of an asynchronous all-to-all: alone, beside a chain of matrix products, and what of it stayed exposed.

Usage: torchrun ... -m tests.multinode.worker_alltoall MEBIBYTES REPEATS [AT_ONCE]

Each rank sends MEBIBYTES to all ranks together, itself included, in AT_ONCE messages of one group that are started together.
Prints one JSON object: the bytes that leave the rank, medians over REPEATS in seconds (`cpu`: the processor time that one
communication takes, its barrier included), the fastest communication, and the exposed part of it,
(together - compute) / fastest.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from statistics import median

import torch
import torch.distributed as dist

SIZE = 128
Seconds = dict[str, list[float]]


class Exchange:
    """`at_once` all-to-alls of one group, `length` bytes in all."""

    def __init__(self, length: int, at_once: int) -> None:
        each = length // at_once // dist.get_world_size() * dist.get_world_size()
        self.sent = [torch.full((each,), 1 + n, dtype=torch.uint8) for n in range(at_once)]
        self.got = [torch.zeros(each, dtype=torch.uint8) for _ in range(at_once)]
        others = dist.get_world_size() - 1
        self.bytes_sent = at_once * each // dist.get_world_size() * others

    def start(self) -> list[dist.Work]:
        return [
            dist.all_to_all_single(got, sent, async_op=True)
            for got, sent in zip(self.got, self.sent, strict=True)
        ]

    def check(self) -> None:
        for got, sent in zip(self.got, self.sent, strict=True):
            assert torch.equal(got, sent), "not what was sent"
            got.zero_()


def products(number: int) -> torch.Tensor:
    """A chain in which each product needs the one before."""
    left = torch.eye(SIZE)
    right = torch.eye(SIZE)
    for _ in range(number):
        left = left @ right
    return left


def timed(act: Callable[[], object]) -> float:
    """Seconds from when all ranks are ready until this one is done."""
    dist.barrier()
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def compute_lasting(seconds: float) -> int:
    """How many products take about that long, the same number on every rank."""
    products(100)
    began = time.perf_counter()
    products(500)
    number = torch.tensor([500 * seconds / (time.perf_counter() - began)])
    dist.all_reduce(number, dist.ReduceOp.MIN)
    return max(1, int(number))


def wait(works: list[dist.Work]) -> None:
    for work in works:
        work.wait()


def overlapped(exchange: Exchange, number: int) -> None:
    works = exchange.start()
    products(number)
    wait(works)


def measure(exchange: Exchange, repeats: int) -> Seconds:
    """Each of `repeats` rounds times communication, compute, both together, compute again."""
    first = torch.tensor([timed(lambda: wait(exchange.start()))])
    dist.all_reduce(first, dist.ReduceOp.MAX)
    number = compute_lasting(1.5 * float(first))
    taken: Seconds = {name: [] for name in ("communication", "cpu", "compute", "together")}
    for _ in range(repeats):
        exchange.check()
        cpu = time.process_time()
        taken["communication"].append(timed(lambda: wait(exchange.start())))
        taken["cpu"].append(time.process_time() - cpu)
        before = timed(lambda: products(number))
        exchange.check()
        taken["together"].append(timed(lambda: overlapped(exchange, number)))
        taken["compute"].append((before + timed(lambda: products(number))) / 2)
    exchange.check()
    return taken


def exposed(taken: Seconds) -> float:
    """The part of the communication that lengthens the compute: median over the rounds."""
    alone = min(taken["communication"])
    pairs = zip(taken["together"], taken["compute"], strict=True)
    return median(together - compute for together, compute in pairs) / alone


def main() -> None:
    length = int(float(sys.argv[1]) * 2**20)
    repeats = int(sys.argv[2])
    at_once = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    exchange = Exchange(length, at_once)
    # The first message opens the way: buffers and windows grow.
    wait(exchange.start())
    taken = measure(exchange, repeats)
    said = {"rank": dist.get_rank(), "cores": sorted(os.sched_getaffinity(0))}
    said |= {"bytes": exchange.bytes_sent, "exposed": exposed(taken)}
    # A rank that starts later than the other sends its own message before it says that it is ready to receive, so
    # that the two directions go one after the other: twice the time. The fastest is what the link needs.
    said |= {"fastest": min(taken["communication"])}
    print(json.dumps(said | {name: median(all_) for name, all_ in taken.items()}), flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
