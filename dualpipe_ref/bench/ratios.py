"""The ratio of two things that were measured in turn, with an interval that assumes nothing of how they are spread."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from dualpipe_ref.bench.results import Row


def ratio_rows(
    prefix: str,
    ours: Sequence[float],
    others: Sequence[float],
    unit: str,
    target: str | None = None,
) -> Iterator[Row]:
    """The median ratio of neighbouring runs, and both ends of its interval of 95 %.

    >>> [(row.bench, row.value) for row in ratio_rows("demo.a", [1, 2, 3], [2, 2, 2], "x")]
    [('demo.a_ratio', 1.0), ('demo.a_ratio_low', 0.5), ('demo.a_ratio_high', 1.5)]
    """
    ratios = [one / other for one, other in zip(ours, others, strict=True)]
    low, high = median_interval(ratios)
    why = f"the interval of 95 % is [{low:.3f}, {high:.3f}]"
    yield Row(f"{prefix}_ratio", median(ratios), unit, target, why)
    yield Row(f"{prefix}_ratio_low", low, unit)
    yield Row(f"{prefix}_ratio_high", high, unit)


def median_interval(values: list[float], confidence: float = 0.95) -> tuple[float, float]:
    """The narrowest pair of order statistics, as far from either end, that holds the median with this probability at least.

    Nothing is assumed of the distribution: the number of values below the median is binomial (David and Nagaraja,
    Order Statistics, section 7.1). With fewer than 6 values no pair reaches 95 %; the extremes are returned.

    >>> median_interval(list(range(1, 22)))
    (6, 16)
    """
    ordered, count = sorted(values), len(values)
    outside, place = 0.0, 0
    for below in range(count // 2):
        outside += 2 * math.comb(count, below) / 2**count
        if outside > 1 - confidence:
            break
        place = below
    return ordered[place], ordered[count - 1 - place]
