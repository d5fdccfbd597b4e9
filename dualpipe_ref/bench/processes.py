"""Fresh processes for a bench, or the error that ended them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

from dualpipe_ref.bench.results import Row, as_text, record
from dualpipe_ref.train.launch import Outcome, launch


class BenchError(RuntimeError):
    """The processes of a bench have failed, or what they compute is not what it should be."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.message)


def run_processes(module: str, arguments: Sequence[object], ranks: int) -> None:
    """`python -m MODULE ARGUMENTS` in `ranks` processes; see `train.launch`. Raises `BenchError`."""
    outcome = launch(module, [str(one) for one in arguments], ranks)
    if outcome.status:
        raise BenchError(outcome)


def run_bench(name: str, measure: Callable[[], Iterable[Row]], out: str | None) -> int:
    """Print the rows as they come, write them to `out` (default book/results/NAME.json); the exit status.

    The tier is the CPU's; nothing is written where processes fail.
    """
    rows: list[Row] = []
    try:
        for row in measure():
            say(" ".join(as_text([row]).splitlines()[-1].split()))
            rows.append(row)
    except BenchError as error:
        print(f"dualpipe-ref: {error}", file=sys.stderr)
        return error.outcome.status
    path = record(name, "CPU", rows, ["torch"], out)
    print(as_text(rows))
    print(path)
    return 0


def say(what: str) -> None:
    """Progress, on stderr."""
    print(f"... {what}", file=sys.stderr, flush=True)
