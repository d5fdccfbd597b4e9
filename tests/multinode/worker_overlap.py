"""One rank of two that share experts: DualPipeV's step with and without overlap, its compute alone, its exchanges alone.

Usage: torchrun ... -m tests.multinode.worker_overlap MICROBATCHES REPEATS RUN ...

A run is one of RUNS. Each first records what the exchanges bring (see `movers`), then all are measured in turn, REPEATS
times. Prints a JSON object for each: its name; `ops`, the (start, end) of each op in seconds from the first start; and of
each pair in `pieces` the moments before and between its computations; for exchanges alone in `exchanges` the seconds of
each, by op; `core` is processor time over time. Ends with an error unless losses and gradients of all runs are equal,
bit for bit.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.collective import Collective
from dualpipe_ref.comm.mover import Mover
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.runtime.executor import Mail
from dualpipe_ref.runtime.grid import make_grid
from dualpipe_ref.runtime.pipeline import Losses, Pipeline
from dualpipe_ref.runtime.stages import Feed, StageWorker
from dualpipe_ref.schedule import Op
from dualpipe_ref.simulate.lanes import Lane, Piece, published_order
from tests.multinode.movers import (
    Group,
    Recording,
    Replayed,
    Switched,
    Synchronous,
    falsified,
    total_bytes,
)
from tests.multinode.one_rank import LAYERS, STAGES, one_rank

SIZES = {
    "vocabulary": 256,
    "hidden": 512,
    "layers": LAYERS,
    "heads": 8,
    "head_dim": 64,
    "rotary_dim": 16,
    "key_value_latent": 128,
    # Every token goes to both ranks, so that no rank waits for another that got more.
    "experts": 2,
    "experts_per_token": 2,
    "expert_hidden": 512,
}


# Part by part or one chunk after the other; and what the exchanges are.
RUNS = {
    "overlap": (True, "network"),
    "no overlap": (False, "network"),
    "synchronous": (True, "synchronous"),
    "overlap, compute alone": (True, "replayed"),
    "no overlap, compute alone": (False, "replayed"),
    "exchanges alone": (True, "alone"),
    "falsified": (True, "falsified"),
}
TOKENS = 512


def feeds(microbatches: int, vocabulary: int, rank: int) -> tuple[Feed, Feed]:
    """Inputs and targets of this rank's micro-batches."""
    generator = torch.Generator().manual_seed(rank)
    both = torch.randint(vocabulary, (microbatches, 1, TOKENS + 1), generator=generator)
    keys = [(0, number) for number in range(microbatches)]
    return dict(zip(keys, both[..., :-1], strict=True)), dict(zip(keys, both[..., 1:], strict=True))


class TimedOrder(list[Piece]):
    """The computations of a pair; notes when each is asked for, and the end."""

    def __init__(self, pieces: Sequence[Piece], moments: list[float]) -> None:
        super().__init__(pieces)
        self.moments = moments

    def __iter__(self) -> Iterator[Piece]:
        for piece in super().__iter__():
            self.moments.append(time.monotonic())
            yield piece
        self.moments.append(time.monotonic())


class Bench:
    """One model and its step, run in different ways."""

    def __init__(self, microbatches: int) -> None:
        self.schedule, config = one_rank(microbatches), ModelConfig(**SIZES)
        grid = make_grid(self.schedule, dist.get_world_size())
        self.network = Collective(grid.experts, background=True)
        self.switched = Switched(self.network)
        buffer = Buffer(Topology(1, self.network.ranks), config.experts, self.switched)
        made = [Stage(config, number, STAGES, buffer) for number in range(STAGES)]
        self.moments: list[list[float]] = []
        self.pipelines = {
            in_turns: Pipeline(
                self.schedule,
                grid,
                lambda number, _: made[number],
                (1, TOKENS, config.hidden),
                order_of=self._timed_order if in_turns else None,
            )
            for in_turns in (True, False)
        }
        self.feeds = feeds(microbatches, config.vocabulary, self.network.rank)
        for pipeline in self.pipelines.values():
            self._count_ops(pipeline.worker)
        self.wanted: list[Tensor] = []
        self.groups = {in_turns: self._record(in_turns) for in_turns in (True, False)}

    def measure(self, name: str) -> dict[str, Any]:
        """One run, by its name in RUNS."""
        in_turns, how = RUNS[name]
        groups = self.groups[in_turns]
        if how == "alone":
            return {"run": name, "exchanges": self._exchange_alone(groups)}
        movers = {
            "network": lambda: self.network,
            "synchronous": lambda: Synchronous(self.network),
            "falsified": lambda: Replayed(falsified(groups), self.network.rank, self.network.ranks),
            "replayed": lambda: Replayed(groups, self.network.rank, self.network.ranks),
        }
        return {"run": name, **self._step(movers[how](), in_turns)}

    def sizes(self) -> dict[str, Any]:
        """What leaves this rank in a step with overlap: all bytes by op, and the largest tensor."""
        peer = 1 - self.network.rank
        groups = self.groups[True]
        by_op = [[one for one in groups if one.op == op] for op in range(len(self.schedule.ops[0]))]
        largest = max(one.bytes_to(peer) for group in groups for one in group.moved)
        return {"bytes": [total_bytes(some, peer) for some in by_op], "largest": largest}

    def _timed_order(self, layers: int) -> Mapping[Lane, list[Piece]]:
        self.moments.append([])
        order = published_order(layers)
        return order | {Lane.COMPUTE: TimedOrder(order[Lane.COMPUTE], self.moments[-1])}

    def _count_ops(self, worker: StageWorker) -> None:
        run = worker.run

        def counted(op: Op, mail: Mail) -> None:
            self.switched.op += 1
            run(op, mail)

        worker.run = counted  # type: ignore[method-assign]

    def _record(self, in_turns: bool) -> list[Group]:
        # Before its first step a pipeline looks whether stages can be split, and exchanges tokens for that.
        self._step(self.network, in_turns)
        recording = Recording(self.network, self.switched)
        self._step(recording, in_turns)
        return recording.groups

    def _step(self, mover: Mover, in_turns: bool) -> dict[str, Any]:
        pipeline = self.pipelines[in_turns]
        self.moments, self.switched.mover, self.switched.op = [], mover, -1
        for stage in pipeline.stages:
            stage.zero_grad(set_to_none=True)
        gc.collect()
        dist.barrier()
        began, used = time.monotonic(), time.process_time()
        losses = pipeline.run(*self.feeds)
        core = (time.process_time() - used) / (time.monotonic() - began)
        self._compare(losses, pipeline.stages)
        first = pipeline.recorder.ops[0][1] / 1e9
        ops = [(start / 1e9 - first, end / 1e9 - first) for _, start, end in pipeline.recorder.ops]
        pieces = [[moment - first for moment in pair] for pair in self.moments]
        return {"ops": ops, "pieces": pieces, "core": core}

    def _compare(self, losses: Losses, stages: Sequence[nn.Module]) -> None:
        found = [losses[key].detach() for key in sorted(losses)]
        gradients = [one.grad for stage in stages for one in stage.parameters()]
        assert all(one is not None for one in gradients), "a parameter has no gradient"
        found += [one.clone() for one in gradients if one is not None]
        self.wanted = self.wanted or found
        for number, (got, wanted) in enumerate(zip(found, self.wanted, strict=True)):
            assert torch.equal(got, wanted), (
                f"loss or gradient {number} is not that of the first run"
            )

    def _exchange_alone(self, groups: Sequence[Group]) -> list[list[float]]:
        """Seconds of each group, by op: one after another, nothing computed."""
        taken: list[list[float]] = [[] for _ in self.schedule.ops[0]]
        dist.barrier()
        for group in groups:
            began = time.monotonic()
            for moving in self.network.soon(lambda group=group: group.again(self.network))():
                moving.wait()
            taken[group.op].append(time.monotonic() - began)
        return taken


def main() -> None:
    microbatches, repeats, *names = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=timedelta(seconds=120))
    bench = Bench(microbatches)
    print(json.dumps({"run": "sizes", **bench.sizes()}), flush=True)
    for _ in range(repeats):
        for name in names:
            print(json.dumps(bench.measure(name)), flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
