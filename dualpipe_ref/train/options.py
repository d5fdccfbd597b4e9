"""The options of the training command, and the settings that they give. Loading this needs the standard library alone."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.kinds import KINDS, check_kind, placement_of, slots_of
from dualpipe_ref.train.launch import launched_by_others

if TYPE_CHECKING:
    from dualpipe_ref.model.config import ModelConfig
    from dualpipe_ref.train.settings import TrainSettings

PROCESSES = 4
# Options that are fields of the settings under the same name: type, placeholder, help.
_FIELDS: dict[str, tuple[type, str, str]] = {
    "chunks": (int, "V", "stages a rank (interleaved; default 2)"),
    "microbatches": (int, "M", "in one step, both directions together"),
    "sequences": (int, "B", "of a micro-batch"),
    "tokens": (int, "S", "of a sequence"),
    "steps": (int, "N", "of the whole run, those before a resumption too"),
    "learning_rate": (float, "RATE", "at its highest"),
    "warmup": (int, "N", "steps until then"),
    "weight_decay": (float, "RATE", "of AdamW, on matrices alone"),
    "clip": (float, "NORM", "bound of the norm of all gradients together"),
    "moments": (str, "TYPE", "of AdamW's moments: float32 (default) or bf16"),
    "ema": (float, "DECAY", "of an average of the parameters, kept on the host (default: none)"),
    "bias_speed": (float, "SPEED", "how far the balancing bias of an expert moves a step"),
    "seed": (int, "N", "of initial values and batches"),
    "evaluate_every": (int, "N", "steps between two looks at the held-out text"),
    "data": (str, "FILE", "UTF-8 text (default: the documentation that Python brings)"),
    "checkpoint": (str, "FOLDER", "where checkpoints are written (default: none are)"),
    "checkpoint_every": (int, "N", "steps between two checkpoints"),
}
_SIZES = {
    "layers": "of the model (default: as many as stages, but at least 4)",
    "hidden": "numbers a token",
    "experts": "of a layer",
}


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Every option of `dualpipe-ref train`; what is not given keeps the default of `TrainSettings`.

    >>> parser = argparse.ArgumentParser()
    >>> add_train_options(parser)
    >>> parser.parse_args(["--schedule", "1f1b", "--steps", "9"]).steps
    9
    """
    parser.add_argument("--schedule", metavar="NAME", help=", ".join(KINDS))
    parser.add_argument(
        "--nproc",
        type=int,
        metavar="N",
        help=f"processes (default {PROCESSES}, or what torchrun started)",
    )
    parser.add_argument("--ep", type=int, default=1, metavar="N", help="ranks that share experts")
    parser.add_argument("--dp", type=int, default=1, metavar="N", help="copies of the pipeline")
    for name, (kind, placeholder, text) in _FIELDS.items():
        parser.add_argument(_option(name), type=kind, metavar=placeholder, help=text)
    for name, text in _SIZES.items():
        parser.add_argument(_option(name), type=int, metavar="N", help=text)
    parser.add_argument(
        "--recompute",
        metavar="POLICY",
        help="what the backward makes again: none (default), norms, up-projections or full",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint in --checkpoint"
    )
    parser.add_argument("--port", type=int, metavar="N", help="of the run (default: a free one)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=12.0,
        metavar="SECONDS",
        help="how long a process waits for another before all give up (default 12)",
    )
    parser.add_argument("--metrics", metavar="FILE.jsonl", help="one line of JSON a step")
    parser.add_argument(
        "--trace", metavar="FILE.json", help="the recorded run, for dualpipe-ref compare-trace"
    )
    parser.add_argument("--tensorboard", metavar="FOLDER", help="the same for TensorBoard")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def settings_from(options: argparse.Namespace) -> TrainSettings:
    """The checked settings; this loads torch. Raises `InputError`.

    >>> parser = argparse.ArgumentParser()
    >>> add_train_options(parser)
    >>> settings_from(parser.parse_args(["--nproc", "4", "--ep", "2"])).pipeline_ranks
    2
    """
    from dualpipe_ref.train.settings import TrainSettings

    given: dict[str, Any] = {name: getattr(options, name) for name in ("schedule", *_FIELDS)}
    given = {name: value for name, value in given.items() if value is not None}
    schedule = check_kind(given.get("schedule", TrainSettings.schedule))
    ranks = pipeline_ranks(options)
    return TrainSettings(
        **given,
        pipeline_ranks=ranks,
        expert_ranks=options.ep,
        data_ranks=options.dp,
        resume=options.resume,
        model=_model(
            options, placement_of(schedule, ranks, slots_of(schedule, options.chunks)).stages
        ),
    )


def pipeline_ranks(options: argparse.Namespace) -> int:
    """All processes by those of one pipeline rank. Raises `InputError` where that leaves a rest."""
    each = require_int("--ep", options.ep, 1) * require_int("--dp", options.dp, 1)
    processes = require_int("--nproc", _processes(options), 1)
    if processes % each or processes // each < 2:
        raise InputError(
            "--nproc is --ep times --dp times at least 2 pipeline ranks",
            f"--nproc {processes} with --ep {options.ep} --dp {options.dp}",
            f"--nproc {max(2, round(processes / each)) * each}",
        )
    return processes // each


def _processes(options: argparse.Namespace) -> int:
    if options.nproc is not None:
        return int(options.nproc)
    return int(os.environ["WORLD_SIZE"]) if launched_by_others() else PROCESSES


def _model(options: argparse.Namespace, stages: int) -> ModelConfig:
    from dualpipe_ref.train.settings import default_model

    default = default_model()
    names = (*_SIZES, "recompute")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return replace(default, **({"layers": max(default.layers, stages)} | given))
