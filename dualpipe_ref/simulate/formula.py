"""What a formula is: a value for one schedule and its costs, and the domain in which it holds."""

# The letters of the formulas.
# ruff: noqa: N803, N806

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.kinds import placement_of, slots_of
from dualpipe_ref.simulate.costs import Costs, Number


class Case(NamedTuple):
    """One schedule with its costs, seen from one rank; the letters of the formulas."""

    P: int
    m: int
    PP: int
    v: int
    r: int
    H: int
    n: int
    h: int
    F: Number
    I: Number  # noqa: E741
    W: Number
    B: Number
    FB: Number
    L: Number = 0


@dataclass(frozen=True)
class Formula:
    """One formula. `quantity` is what it gives:

    "bubble": idle time of rank r; "worst bubble": of the rank that idles most; "makespan"; "activations"
    and "held": peaks of rank r in chunks; "parameters": stages that a rank holds.

    >>> from dualpipe_ref.simulate import find_formula
    >>> formula = find_formula("dualpipe", "worst bubble")
    >>> formula.expression, formula.source
    ('(PP/2 - 1)(FB + B - 3W)', 'DeepSeek-V3 report, arXiv:2412.19437, section 3.2.1, table 2')
    >>> formula.evaluate(8, 20, Costs(FB=3)), formula.holds(8, 20, Costs(FB=3))
    (6, True)
    >>> unequal = Costs(F=4, I=6, W=2, FB=10)
    >>> formula.evaluate(8, 20, unequal), formula.holds(8, 20, unequal)
    (36, False)
    """

    name: str
    kind: str
    quantity: str
    source: str
    expression: str
    domain: str
    _value: Callable[[Case], Number] = field(repr=False)
    _domain: Callable[[Case], bool] = field(repr=False)
    has_latency: bool = False

    def evaluate(
        self,
        ranks: int,
        microbatches: int,
        costs: Costs | None = None,
        rank: int = 0,
        chunks: int | None = None,
        latency: Number = 0,
    ) -> Number:
        """The formula's value, in the costs' unit or in chunks; exact where the costs are."""
        return self._value(_case(self.kind, ranks, microbatches, costs, rank, chunks, latency))

    def holds(
        self,
        ranks: int,
        microbatches: int,
        costs: Costs | None = None,
        rank: int = 0,
        chunks: int | None = None,
        latency: Number = 0,
    ) -> bool:
        """Whether these arguments lie in the formula's domain. Floats may miss an equality of costs."""
        case = _case(self.kind, ranks, microbatches, costs, rank, chunks, latency)
        return (self.has_latency or latency == 0) and self._domain(case)


def _case(
    kind: str, P: int, m: int, costs: Costs | None, rank: int, chunks: int | None, L: Number
) -> Case:
    costs = costs or Costs()
    given = (costs.F, costs.I, costs.W, costs.B, costs.FB, costs.rank_scale)
    if any(isinstance(cost, Sequence) for cost in given):
        raise InputError("a formula takes one number for each cost", repr(costs))
    placement = placement_of(kind, P, slots_of(kind, chunks))
    if placement.directions == 2:
        H, n, h = P // 2, m // 2, min(rank, P - 1 - rank)
    else:
        H, n, h = P, m, rank
    times = [*(costs.of(op) for op in ("F", "I", "W", "B", "FB")), L]
    return Case(P, m, placement.stages, placement.slots, rank, H, n, h, *times)
