"""Faults to plant into a pipeline; each must be seen by the comparison with the unparallel run."""

from __future__ import annotations

import torch

from dualpipe_ref.model.experts import Router
from dualpipe_ref.runtime import pipeline as pipeline_module
from dualpipe_ref.runtime.pipeline import Pipeline
from dualpipe_ref.schedule import OpKind


def _message(pipeline: Pipeline) -> None:
    """A message loses what it carries."""
    receive = pipeline.wires.receive

    def lossy(message):  # type: ignore[no-untyped-def]
        values = receive(message)
        return torch.zeros_like(values) if message.microbatch == 1 else values

    pipeline.wires.receive = lossy  # type: ignore[method-assign]


def _weights(pipeline: Pipeline) -> None:
    """The W of a chunk runs in place of another's: the first two that wait when a W is due change places, and one is lost."""
    run, worker = pipeline.worker.run, pipeline.worker

    def swapped(op, mail):  # type: ignore[no-untyped-def]
        if op.kind is OpKind.W:
            waiting = [one for one in worker._running.values() if one._waiting]
            if waiting:
                waiting[0]._waiting, waiting[-1]._waiting = waiting[-1]._waiting, {}
        run(op, mail)

    worker.run = swapped  # type: ignore[method-assign]


def _replicas(pipeline: Pipeline) -> None:
    """The gradients of the two copies of a stage are not added."""
    pipeline.sum_gradients = lambda: pipeline_module.sum_shared(  # type: ignore[method-assign]
        pipeline.stages, pipeline.grid
    )


def _shared(pipeline: Pipeline) -> None:
    """The gradients of processes that share experts are not added."""
    pipeline.sum_gradients = lambda: pipeline_module.sum_replicas(  # type: ignore[method-assign]
        pipeline.schedule, pipeline.stages, pipeline.grid
    )


def _routing(pipeline: Pipeline) -> None:
    """One token of one micro-batch goes to another expert, which a tolerance on losses might absorb."""
    for stage in pipeline.stages:
        for router in stage.modules():
            if isinstance(router, Router):
                router.bias[0] += 1e-3


def _random(pipeline: Pipeline) -> None:
    """A rank draws a number that nobody else draws."""
    run = pipeline.run

    def drawing(inputs, targets):  # type: ignore[no-untyped-def]
        torch.rand(1)
        return run(inputs, targets)

    pipeline.run = drawing  # type: ignore[method-assign]


FAULTS = {
    "message": _message,
    "weights": _weights,
    "replicas": _replicas,
    "shared": _shared,
    "routing": _routing,
    "random": _random,
}


def plant(fault: str, pipeline: Pipeline) -> None:
    if fault:
        FAULTS[fault](pipeline)
