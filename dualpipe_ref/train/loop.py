"""Train a model by any schedule: what every process does, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.collective import Collective
from dualpipe_ref.comm.mover import Alone, Mover
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.model import Stage
from dualpipe_ref.runtime.average import HostAverage
from dualpipe_ref.runtime.failure import together
from dualpipe_ref.runtime.grid import make_grid
from dualpipe_ref.runtime.optimizer import ShardedAdamW
from dualpipe_ref.runtime.pipeline import Losses, Pipeline
from dualpipe_ref.runtime.stages import Feed
from dualpipe_ref.schedule import build
from dualpipe_ref.simulate.lanes import published_order
from dualpipe_ref.train import checkpoint
from dualpipe_ref.train.corpus import Corpus, Place
from dualpipe_ref.train.settings import TrainSettings
from dualpipe_ref.train.text import Text

EVALUATION_TOKENS = 32_768  # of held-out text, at least, where there are so many


class Numbers(NamedTuple):
    """What a step tells. `loss` in nats a byte, the mean over all processes; `bubble` the share of the step that ranks idle."""

    loss: float
    tokens_per_second: float
    bubble: float
    seconds: float
    gradient_norm: float


class Trainer:
    """One process of a run; all processes make it and call its methods together, after `init_process_group`."""

    def __init__(
        self, settings: TrainSettings, text: Text, device: torch.device | None = None
    ) -> None:
        self.settings, self.text, self.device = settings, text, device or torch.device("cpu")
        self.schedule = build(
            settings.schedule, settings.pipeline_ranks, settings.microbatches, settings.chunks
        )
        self.grid = make_grid(
            self.schedule, settings.expert_ranks, settings.data_ranks, self.device.type
        )
        self.corpus = Corpus(text.content, settings.tokens, settings.seed)
        shared = settings.expert_ranks > 1
        self._mover: Mover = Collective(self.grid.experts, background=True) if shared else Alone()
        self.pipeline = Pipeline(
            self.schedule,
            self.grid,
            self._stage,
            (settings.sequences, settings.tokens, settings.model.hidden),
            # Nothing is sent where one process has all experts: then F simply comes before B.
            order_of=published_order if shared else None,
            device=self.device,
        )
        self.optimizer = ShardedAdamW(
            self.pipeline,
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            moments=torch.bfloat16 if settings.moments == "bf16" else None,
        )
        self.average = HostAverage(self.pipeline.stages, settings.ema) if settings.ema else None
        self.done = 0  # steps

    def _stage(self, number: int, stages: int) -> Stage:
        model = self.settings.model
        buffer = Buffer(Topology(1, self._mover.ranks), model.experts, self._mover)
        made = Stage(model, number, stages, buffer, self.settings.seed)
        made.to(self.device)
        return made

    def step(self) -> Numbers:
        """One step, begun by all together. Raises `runtime.failure.StepError`."""
        number = self.done + 1
        with together(f"the start of step {number}"):
            torch.distributed.barrier()
        settings, began = self.settings, time.perf_counter()
        self.optimizer.zero_grad()
        self.optimizer.set_learning_rate(settings.learning_rate_at(self.done))
        losses = self.pipeline.run(
            *self._feeds(lambda place: self.corpus.batch(place, settings.sequences))
        )
        with together(f"the end of step {number}"):
            self.pipeline.sum_gradients()
            norm = self.optimizer.clip(settings.clip or float("inf"))
            self.pipeline.balance(settings.bias_speed)
            if self.average:
                self.average.wait()
            self.optimizer.step()
            if self.average:
                self.average.begin()
            self.done += 1
            seconds = time.perf_counter() - began
            loss, bubble = self._means(losses)
        return Numbers(loss, settings.tokens_per_step / seconds, bubble, seconds, norm)

    def _feeds(self, batch: Callable[[Place], tuple[Tensor, Tensor]]) -> tuple[Feed, Feed]:
        """Inputs and targets of all micro-batches that this process's pipeline sees in one go."""
        settings, grid, directions = self.settings, self.grid, self.schedule.placement.directions
        inputs: dict[tuple[int, int], Tensor] = {}
        targets: dict[tuple[int, int], Tensor] = {}
        for direction in range(directions):
            for microbatch in range(self.schedule.microbatches_per_direction):
                place = Place(
                    self.done,
                    microbatch,
                    direction,
                    directions,
                    grid.data_rank,
                    grid.expert_rank,
                    settings.expert_ranks,
                )
                key = direction, microbatch
                inputs[key], targets[key] = (one.to(self.device) for one in batch(place))
        return inputs, targets

    def _means(self, losses: Losses) -> tuple[float, float]:
        """Mean loss over all micro-batches of all processes, and mean share of the step in which a rank ran no op."""
        ops = self.pipeline.recorder.ops
        busy = sum(end - start for _, start, end in ops) / (ops[-1][2] - self._first())
        row = torch.tensor([float(sum(losses.values())), busy], dtype=torch.float64).to(self.device)
        torch.distributed.all_reduce(row)
        copies = self.settings.expert_ranks * self.settings.data_ranks
        loss = row[0].item() / (self.settings.microbatches * copies)
        return loss, 1 - row[1].item() / self.settings.processes

    def _first(self) -> int:
        """When this rank's step began: with its first op, or its wait for that."""
        recorder = self.pipeline.recorder
        waits = [asked for _, asked, _ in recorder.receives[:1]]
        return min([recorder.ops[0][1], *waits])

    def evaluate(self) -> float:
        """Mean loss on held-out text, always the same, in nats a byte."""
        settings, each = self.settings, self.settings.sequences
        whole = settings.microbatches * settings.expert_ranks * settings.data_ranks
        passes = max(1, EVALUATION_TOKENS // (whole * each * settings.tokens))
        there = self.corpus.evaluation_sequences // each
        total, count = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for number in range(min(passes, max(1, there // whole))):

            def batch(place: Place, first: int = number * whole) -> tuple[Tensor, Tensor]:
                own = place.replica * settings.microbatches + place.number
                return self.corpus.evaluation((first + own) % there, each)

            total += sum(map(float, self.pipeline.evaluate(*self._feeds(batch)).values()))
            count += whole
        with together(f"the held-out loss after step {self.done}"):
            torch.distributed.all_reduce(total)
        mean: float = total.item() / count
        return mean

    def evaluate_average(self) -> float:
        """The same of the average of the parameters, which the settings ask for by `ema`."""
        assert self.average
        with self.average.in_use():
            return self.evaluate()

    def save(self) -> Path:
        """Write a checkpoint; see `checkpoint.save`."""
        folder = Path(self.settings.checkpoint or ".")
        return checkpoint.save(folder, self.done, self._parts(), self.about())

    def resume(self) -> None:
        """Go on from the last whole checkpoint. Raises `InputError` where the text is another."""
        path = checkpoint.latest(Path(self.settings.checkpoint or "."))
        kept = checkpoint.about(path)
        checkpoint.check_text(kept, self.text)
        checkpoint.load(path, self._parts())
        self.done = int(kept["step"])

    def _parts(self) -> checkpoint.Parts:
        return checkpoint.Parts(self.pipeline, self.optimizer, self.average)

    def about(self) -> dict[str, Any]:
        """What decides the run, for the record."""
        return {"settings": self.settings.to_dict(), "text": self.text.sha256}
