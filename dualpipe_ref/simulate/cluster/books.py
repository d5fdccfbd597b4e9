"""Where a step goes, row by row: the rows of every GPU add up to the step exactly, and so do their means."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.cluster.stage import OpParts
from dualpipe_ref.simulate.cluster.step import Group, Step
from dualpipe_ref.simulate.waiting import Ledger, ledger

# Label, what it is, and whether a GPU waits meanwhile.
ROWS = (
    ("computing", "products, attention and the rest of forward and backward, on all SMs", False),
    ("made again", "what the backward computes a second time to save memory", False),
    ("SM tax", "how much longer computation takes in pairs, on the SMs that are left", False),
    ("tensor parallel", "all-gathers and reduce-scatters inside a layer", True),
    ("exposed all-to-all", "dispatch and combine with nothing beside them", True),
    ("slow GPUs", "how much longer ops take where one of the GPUs in lockstep is slow", True),
    ("bubble", "the schedule's idle time, with messages that take no time", True),
    ("messages", "what messages between stages add to it", True),
    ("other pipelines", "waiting for a slower one", True),
    ("gradients", "summed over all copies", True),
    ("optimizer", "reads and writes its states", False),
    ("parameters", "gathered from those that updated them", True),
    ("other updates", "waiting for the rank with the longest one", True),
)
LABELS = tuple(label for label, *_ in ROWS)
WAITING = tuple(label for label, _, waits in ROWS if waits)


class Books(NamedTuple):
    """Nanoseconds by label; exact."""

    rows: dict[str, Fraction]

    @property
    def total(self) -> Fraction:
        """The step."""
        return sum(self.rows.values(), Fraction(0))

    @property
    def waiting(self) -> Fraction:
        """The share of the step in which a GPU does nothing useful but wait."""
        return sum((self.rows[label] for label in WAITING), Fraction(0)) / self.total


def of_rank(step: Step, rank: int, group: Group | None = None) -> Books:
    """One GPU at this rank of a pipeline of this group (default: the first)."""
    scales = (group or step.groups[0]).scales
    timeline, free = step.timelines[scales], step.free[scales]
    parts = [sum(column) for column in zip(*step.times.of_rank(step.plan.order, rank), strict=True)]
    total = OpParts(*parts)
    busy = int(timeline.busy[rank])
    own = step.updates[rank]
    rows = (
        total.work,
        total.again,
        total.sm_tax,
        total.tensor,
        total.exposed,
        busy - total.length,
        int(free.makespan) - busy,
        int(timeline.makespan) - int(free.makespan),
        step.makespan - int(timeline.makespan),
        own.gradients,
        own.optimizer,
        own.parameters,
        step.update - own.length,
    )
    return Books(dict(zip(LABELS, map(Fraction, rows), strict=True)))


def mean(step: Step) -> Books:
    """Over all GPUs.

    >>> from dualpipe_ref.simulate.cluster.plan import Plan
    >>> from dualpipe_ref.simulate.cluster.step import evaluate
    >>> step = evaluate(Plan())
    >>> mean(step).total == step.nanoseconds
    True
    """
    total = dict.fromkeys(LABELS, Fraction(0))
    count = 0
    for group in step.groups:
        for rank in range(step.plan.pipeline):
            count += group.alike
            for label, value in of_rank(step, rank, group).rows.items():
                total[label] += group.alike * value
    return Books({label: value / count for label, value in total.items()})


def hidden_of(step: Step) -> Iterator[int]:
    """Nanoseconds of all-to-all that lie under computation, by rank."""
    for rank in range(step.plan.pipeline):
        yield sum(part.hidden for part in step.times.of_rank(step.plan.order, rank))


def waiting_ledger(before: Step, after: Step) -> Ledger:
    """Chapter 1's ledger from two planned steps of the same work: how much was waited before, and what share of that is gone.

    Both count `useful` computing alike, so what is not useful is waiting, but for the SM tax, which the ledger takes off by
    itself: sms/(sms - reserved) on all computation, where the planner has it in pairs alone. Raises `InputError` for other work.

    >>> from dualpipe_ref.simulate.cluster.plan import Plan
    >>> from dualpipe_ref.simulate.cluster.step import evaluate
    >>> from dataclasses import replace
    >>> plain = replace(Plan(), schedule="1f1b")
    >>> book = waiting_ledger(evaluate(plain), evaluate(Plan()))
    >>> book.gpus, book.reserved_sms, book.speedup > 1
    (2048, 20, True)
    """
    one, other = before.plan, after.plan
    if (one.gpus, one.tokens) != (other.gpus, other.tokens):
        raise InputError(
            "two steps are compared on the same GPUs and tokens",
            f"{one.gpus} GPUs and {one.tokens} tokens, {other.gpus} and {other.tokens}",
            f"{one.gpus} GPUs and {one.tokens} tokens",
        )
    was, became = mean(before), mean(after)
    waited, waits = was.waiting * was.total, became.waiting * became.total
    hidden = max(Fraction(0), 1 - waits / waited) if waited else Fraction(0)
    return ledger(one.gpus, was.waiting, hidden, other.reserved, other.device.sms)
