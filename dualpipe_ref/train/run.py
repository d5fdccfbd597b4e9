"""What each process of `dualpipe-ref train` runs: python -m dualpipe_ref.train.run OPTIONS, started by the command or by torchrun."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import torch
import torch.distributed

from dualpipe_ref.runtime.failure import together
from dualpipe_ref.runtime.trace import RunTrace
from dualpipe_ref.train.loop import Trainer
from dualpipe_ref.train.metrics import JsonLines, Progress, Sink, tensorboard_if_there
from dualpipe_ref.train.options import add_train_options, settings_from
from dualpipe_ref.train.text import load_text


def main() -> None:
    """Take part in a run from its first step, or from its last checkpoint, to its end."""
    parser = argparse.ArgumentParser(prog="dualpipe_ref.train.run")
    add_train_options(parser)
    options = parser.parse_args()
    settings = settings_from(options)
    text = load_text(settings.data)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.manual_seed(settings.seed)
    device = _device()
    backend = "nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=timedelta(seconds=options.timeout))
    trainer = Trainer(settings, text, device)
    if settings.resume:
        trainer.resume()
    # One copy of the pipeline stands for all: they run the same program.
    is_traced = options.trace and trainer.grid.data_rank == trainer.grid.expert_rank == 0
    trace = RunTrace(trainer.pipeline.executor) if is_traced else None
    with ExitStack() as stack:
        report = _Report(trainer, options, stack)
        report.begin()
        while trainer.done < settings.steps:
            numbers = trainer.step()._asdict()
            if trace:
                trace.add_step()
            is_last = trainer.done == settings.steps
            if is_last or trainer.done % settings.evaluate_every == 0:
                numbers["held_out_loss"] = trainer.evaluate()
                if trainer.average:
                    numbers["held_out_loss_of_average"] = trainer.evaluate_average()
            report.step(numbers)
            if settings.checkpoint and (is_last or trainer.done % settings.checkpoint_every == 0):
                report.say(f"checkpoint: {trainer.save()}")
    if trace:
        trace.write(options.trace, trainer.about())
    with together("the end of the run"):
        torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _device() -> torch.device:
    """A GPU of its own for each process of this machine, or else the CPU for all."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if torch.cuda.is_available() and torch.cuda.device_count() >= here:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


class _Report:
    """What rank 0 tells; the others keep quiet."""

    def __init__(self, trainer: Trainer, options: argparse.Namespace, stack: ExitStack) -> None:
        self.trainer, self.began = trainer, time.perf_counter()
        self.sinks: list[Sink] = []
        self.progress: Progress | None = None
        if torch.distributed.get_rank():
            return
        self.progress = Progress(trainer.settings.steps, trainer.done)
        self.sinks.append(self.progress)
        if options.metrics:
            self.sinks.append(JsonLines(options.metrics, trainer.done))
        if options.tensorboard:
            board = tensorboard_if_there(options.tensorboard, trainer.done)
            self.sinks += [board] if board else []
        for sink in self.sinks:
            stack.callback(sink.close)

    def begin(self) -> None:
        settings, text = self.trainer.settings, self.trainer.text
        self.say(
            f"{self.trainer.schedule!r} on {settings.processes} processes"
            f" ({settings.pipeline_ranks} pipeline x {settings.data_ranks} data x {settings.expert_ranks} expert ranks)"
        )
        self.say(f"text: {text.source}, {len(text.content):,} bytes, SHA-256 {text.sha256[:12]}")
        if self.trainer.done:
            self.say(f"goes on after step {self.trainer.done}")

    def step(self, numbers: dict[str, Any]) -> None:
        for sink in self.sinks:
            sink.write(self.trainer.done - 1, numbers)
        if "held_out_loss" in numbers:
            minutes = (time.perf_counter() - self.began) / 60
            loss, done = numbers["held_out_loss"], self.trainer.done
            of_average = numbers.get("held_out_loss_of_average")
            more = "" if of_average is None else f" ({of_average:.3f} of the average)"
            self.say(
                f"held-out loss {loss:.3f} nats a byte{more} after step {done}, {minutes:.1f} min"
            )

    def say(self, text: str) -> None:
        if self.progress:
            self.progress.say(text)


if __name__ == "__main__":
    main()
