"""A process that launches: python -m tests.test_train.parent PROCESSES GRACE PORT|- DEFAULT [RANK=WHAT ...]."""

from __future__ import annotations

import os
import sys

from dualpipe_ref import InputError
from dualpipe_ref.train.launch import launch


def main() -> int:
    processes, grace, port, *what = sys.argv[1:]
    try:
        outcome = launch(
            "tests.test_train.launched",
            what,
            int(processes),
            port=None if port == "-" else int(port),
            grace=float(grace),
        )
    except InputError as error:
        _say(str(error))
        return 2
    _say(outcome.message)
    return outcome.status


def _say(what: str) -> None:
    """In one write: under torchrun several of these share a pipe, and print may write a line in pieces."""
    os.write(1, f"OUTCOME {what}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
