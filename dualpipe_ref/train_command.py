"""`dualpipe-ref train`: a real model on real text by any schedule, on as many processes as asked for."""

from __future__ import annotations

import argparse
import sys

from dualpipe_ref.train.launch import GRACE, STOPPED, TERMINATE, launch
from dualpipe_ref.train.options import add_train_options, settings_from

LONGEST = 30.0  # seconds from a fault to the end of every process


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command; see `train.options`."""
    add_train_options(parser)


def run(options: argparse.Namespace) -> int:
    """Check the settings, then launch; under torchrun, take part. 1 where a process failed, 2 for bad input."""
    settings = settings_from(options)
    grace = max(2.0, LONGEST - options.timeout - STOPPED - TERMINATE)
    outcome = launch(
        "dualpipe_ref.train.run",
        options.arguments[options.arguments.index("train") + 1 :],
        settings.processes,
        port=options.port,
        grace=min(GRACE, grace),
    )
    if outcome.message:
        print(f"dualpipe-ref: {outcome.message}", file=sys.stderr)
    return outcome.status
