"""A process that launches: python -m tests.test_train.parent PROCESSES GRACE PORT|- DEFAULT [RANK=WHAT ...]."""

from __future__ import annotations

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
        print(f"OUTCOME {error}", flush=True)
        return 2
    print(f"OUTCOME {outcome.message}", flush=True)
    return outcome.status


if __name__ == "__main__":
    sys.exit(main())
