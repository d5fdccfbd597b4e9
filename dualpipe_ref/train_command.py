"""`dualpipe-ref train`: a real model on real text by any schedule, on as many processes as asked for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dualpipe_ref.train.launch import GRACE, STOPPED, TERMINATE, launch
from dualpipe_ref.train.options import add_train_options, settings_from
from dualpipe_ref.train.settings import TrainSettings
from dualpipe_ref.train.text import load_text

LONGEST = 30.0  # seconds from a fault to the end of every process
SHORTEST = 2.0  # seconds that the others have at least for a message of their own


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command; see `train.options`."""
    add_train_options(parser)


def run(options: argparse.Namespace) -> int:
    """Check the settings, then launch; under torchrun, take part. 1 where a process failed, 2 for bad input."""
    settings = settings_from(options)
    _check_files(settings)
    outcome = launch(
        "dualpipe_ref.train.run",
        options.arguments[options.arguments.index("train") + 1 :],
        settings.processes,
        port=options.port,
        grace=grace_for(options.timeout),
    )
    if outcome.message:
        print(f"dualpipe-ref: {outcome.message}", file=sys.stderr)
    return outcome.status


def grace_for(timeout: float) -> float:
    """Seconds for last words where a process waits `timeout` seconds for another: all together take at most `LONGEST`.

    >>> grace_for(12)
    10.0
    """
    return min(GRACE, max(SHORTEST, LONGEST - timeout - STOPPED - TERMINATE))


def _check_files(settings: TrainSettings) -> None:
    """Read what every process will read, so that a wrong file is told once, before any process starts.

    Where there is no text yet, this makes it for all. Raises `InputError`.
    """
    text = load_text(settings.data)
    if settings.resume:
        from dualpipe_ref.train import checkpoint  # torch takes a second to load

        checkpoint.check_text(
            checkpoint.about(checkpoint.latest(Path(settings.checkpoint or "."))), text
        )
