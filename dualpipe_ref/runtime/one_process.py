"""A whole step of any schedule in one process: a thread for each rank, kernels between those that share experts.

What runs is what runs on many machines: `Pipeline` with its executor, stages and sums. Only the wires are other ones
(`post`), and the exchanges of a stage's ranks are launches of all of them together. So one GPU, or the emulator, can show
that a schedule over the project's kernels trains the model that one process trains. It says nothing of speed: the ranks
share a device, and the threads share an interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.exchange import Exchange
from dualpipe_ref.comm.together import Meeting, run_ranks
from dualpipe_ref.runtime.clocks import Offset
from dualpipe_ref.runtime.overlap import OrderOf
from dualpipe_ref.runtime.pipeline import Losses, Pipeline
from dualpipe_ref.runtime.post import Post, Posted, PostedWires
from dualpipe_ref.runtime.recorded import RecordedStep
from dualpipe_ref.runtime.stages import Feed
from dualpipe_ref.runtime.trace import Noted, merged
from dualpipe_ref.schedule import InputError, Schedule

Result = TypeVar("Result")
# The module of a stage, by its number, the number of all stages, and the rank's end of the exchange.
MakeStage = Callable[[int, int, Buffer], nn.Module]


class OneProcess:
    """All P x EP ranks of a schedule, where EP ranks share the experts of a stage.

    `exchange_of` makes an exchange of EP ranks in this process, such as `Direct(OneGpu(...))` or `Queues(Emulated(...))`; it
    is called once for each pipeline rank. `shape` and `dtype` are those of the activations between stages. With
    `order_of` the chunks of an FB take turns, and a thread beside each rank's communicates. On a GPU each rank has a
    stream of its own. A rank that waits longer than `patience` seconds fails.

    After a step that failed nothing more can be run: make another one.
    """

    def __init__(
        self,
        schedule: Schedule,
        exchange_of: Callable[[], Exchange],
        experts: int,
        make_stage: MakeStage,
        shape: Sequence[int],
        dtype: torch.dtype = torch.float32,
        *,
        order_of: OrderOf | None = None,
        device: torch.device | str = "cpu",
        patience: float = 60,
    ) -> None:
        self.schedule, self.device = schedule, torch.device(device)
        self.post = Post(patience)
        self.meetings = [Meeting(exchange_of(), patience=patience) for _ in range(schedule.ranks)]
        topology = self.meetings[0].topology
        self.expert_ranks = topology.ranks
        self.pipelines: list[Pipeline] = []
        for number in range(schedule.ranks * self.expert_ranks):
            place = Posted(self.post, schedule.ranks, self.expert_ranks, number)
            seat = self.meetings[place.pipeline_rank].of(
                place.expert_rank, background=order_of is not None
            )
            buffer = Buffer(topology, experts, seat)
            self.pipelines.append(
                Pipeline(
                    schedule,
                    place,
                    lambda stage, stages, buffer=buffer: make_stage(stage, stages, buffer),  # type: ignore[misc]
                    shape,
                    dtype,
                    order_of=order_of,
                    device=self.device,
                    wires=PostedWires(self.post, place.pipeline, place.pipeline_rank, shape, dtype),
                )
            )
        self._streams = [
            torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
            for _ in self.pipelines
        ]

    def step(self, feeds: Sequence[tuple[Feed, Feed]]) -> list[Losses]:
        """Forward and backward of all micro-batches, and every `grad` summed over all copies of its parameter.

        `feeds` are inputs and targets of each of the EP ranks; the losses come back in the same way. Raises
        `runtime.failure.StepError`, which names rank and op, or what an exchange raises; a note tells the expert rank.
        """
        if len(feeds) != self.expert_ranks:
            raise InputError(
                "each rank that shares the experts has micro-batches of its own",
                f"{len(feeds)} feeds",
                f"{self.expert_ranks}",
            )
        found = self.on_all(
            lambda number: self.pipelines[number].step(*feeds[self._expert(number)])
        )
        losses: list[Losses] = [{} for _ in feeds]
        for number, one in enumerate(found):
            losses[self._expert(number)].update(one)
        return losses

    def on_all(self, function: Callable[[int], Result]) -> list[Result]:
        """`function(number)` in the thread and stream of each rank, p x EP + e; the results in their order."""

        def run(number: int) -> Result:
            try:
                with self._stream(number):
                    return function(number)
            except BaseException as error:
                error.add_note(
                    f"It is rank {self._expert(number)} of those that share the experts."
                )
                raise

        ready = None if self.device.type == "cpu" else torch.cuda.current_stream(self.device)
        for stream in self._streams:
            if stream is not None:
                stream.wait_stream(ready)
        results = run_ranks(run, len(self.pipelines), meetings=[self.post, *self.meetings])
        for stream in self._streams:
            if ready is not None:
                ready.wait_stream(stream)
        return results

    def recorded(self, expert_rank: int = 0) -> RecordedStep:
        """What the pipeline of one expert rank did in the last step; see `trace`. On a GPU, times of launches."""
        recorders = [
            one.recorder
            for number, one in enumerate(self.pipelines)
            if self._expert(number) == expert_rank
        ]
        noted = [Noted(one.ops, one.sends, one.receives, 0) for one in recorders]
        return merged(noted, [Offset(0.0, 0.0)] * len(noted))

    def _expert(self, number: int) -> int:
        return number % self.expert_ranks

    @contextmanager
    def _stream(self, number: int) -> Iterator[None]:
        stream = self._streams[number]
        if stream is None:
            yield
            return
        with torch.cuda.device(self.device), torch.cuda.stream(stream):
            yield
