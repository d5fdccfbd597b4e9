"""What is searched for: the fastest order of work under given rules, in plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Literal, get_args

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.ir import OpKind, Placement, Schedule
from dualpipe_ref.schedule.kinds import placement_of
from dualpipe_ref.simulate.costs import Costs

Backward = Literal["split", "whole"]
Cap = int | Sequence[int] | None

# A schedule carries the name of one that is made by hand. A searched order carries that of its placement and rules.
_NAMES = {
    ("linear", "whole"): "1f1b",
    ("linear", "split"): "zb-h1",
    ("looped", "whole"): "interleaved",
    ("looped", "split"): "interleaved",
    ("v", "whole"): "zb-v",
    ("v", "split"): "zb-v",
    ("bidirectional", "whole"): "chimera",
    ("bidirectional", "split"): "chimera",
}
_PAIRED = {"v": "dualpipev", "bidirectional": "dualpipe"}
PLACEMENTS = ("linear", "looped", "v", "bidirectional")


@dataclass(frozen=True)
class Problem:
    """The fastest order for P = `ranks`, m = `microbatches` and these costs, messages free.

    `placement` is "linear" (a stage a rank), "looped" (`chunks` stages a rank, as in interleaved 1F1B), "v" or
    "bidirectional" (two copies, m even). With `backward` "split" every backward is I and W apart; with "whole" it is
    one B. Where `costs` has an FB, a forward and a backward of different micro-batches may run together for that time.
    `max_activations` bounds the chunks a rank holds from the start of their forward until the end of I,
    `max_held` until the end of W; one number, or one a rank. Costs are exact, one for each kind.

    >>> Problem("v", 2, 3, Costs(FB=Fraction(5, 2))).kind
    'dualpipev'
    >>> Problem("v", 2, 3, max_activations=1)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: rank 0 of a V holds 2 chunks of one micro-batch at least; \
got max_activations = 1; nearest legal: max_activations = 2
    """

    placement: str
    ranks: int
    microbatches: int
    costs: Costs = field(default_factory=Costs)
    backward: Backward = "split"
    max_activations: Cap = None
    max_held: Cap = None
    chunks: int = 2

    def __post_init__(self) -> None:
        if self.placement not in PLACEMENTS:
            raise InputError(
                f"a placement is one of {', '.join(PLACEMENTS)}", repr(self.placement), "'v'"
            )
        if self.backward not in get_args(Backward):
            raise InputError("a backward is split or whole", repr(self.backward), "'split'")
        require_int("P", self.ranks, 2)
        require_int("m", self.microbatches, 1)
        require_int("chunks", self.chunks, 2)
        if self.placement == "bidirectional" and self.microbatches % 2:
            raise InputError(
                "both directions carry the same number of micro-batches",
                f"m = {self.microbatches}",
                f"m = {self.microbatches + 1}",
            )
        self._check_costs()
        for name in ("max_activations", "max_held"):
            self._check_cap(name)

    def _check_costs(self) -> None:
        costs = self.costs
        given = [costs.F, costs.I, costs.W, costs.B, costs.FB, costs.rank_scale]
        if not all(value is None or isinstance(value, int | Fraction) for value in given):
            raise InputError(
                "a search takes one exact number for each cost", repr(costs), "Costs(F=1, I=1, W=1)"
            )

    def _check_cap(self, name: str) -> None:
        caps = self.caps(name)
        if caps is None:
            return
        if len(caps) != self.ranks:
            raise InputError(
                f"{name} is one number, or one a rank", f"{len(caps)} numbers", f"{self.ranks}"
            )
        least = self._least_held()
        for rank, cap in enumerate(caps):
            if require_int(f"{name} of rank {rank}", cap, 1) < least[rank]:
                where = {"v": " of a V", "looped": " of a loop"}.get(self.placement, "")
                raise InputError(
                    f"rank {rank}{where} holds {least[rank]} chunks of one micro-batch at least",
                    f"{name} = {cap}",
                    f"{name} = {least[rank]}",
                )

    def _least_held(self) -> list[int]:
        """Where a micro-batch passes a rank twice, the rank holds both chunks before the first gradient."""
        per_direction = self.held_stages().slots // self.held_stages().directions
        return [per_direction] * self.ranks

    def caps(self, name: str) -> tuple[int, ...] | None:
        """A cap as one number a rank; None where there is none."""
        value: Cap = getattr(self, name)
        if value is None:
            return None
        return (value,) * self.ranks if isinstance(value, int) else tuple(value)

    def held_stages(self) -> Placement:
        """Who holds which stage."""
        return placement_of(self.kind, self.ranks, self.slots)

    @property
    def slots(self) -> int:
        """Stages a rank."""
        return {"linear": 1, "looped": self.chunks}.get(self.placement, 2)

    @property
    def kind(self) -> str:
        """The name that a searched schedule carries: that of a hand-made one with this placement."""
        if self.costs.FB is not None and self.placement in _PAIRED:
            return _PAIRED[self.placement]
        return _NAMES[self.placement, self.backward]

    @property
    def pairs(self) -> bool:
        """Whether a forward and a backward may run together."""
        return self.costs.FB is not None

    def scale(self) -> int:
        """What all costs are multiplied with to be whole numbers."""
        return lcm(*(Fraction(self.costs.of(kind)).denominator for kind in OpKind))

    def whole_costs(self) -> dict[str, int]:
        """The time of each kind of op as a whole number of 1 / `scale()`."""
        return {str(kind): int(self.costs.of(kind) * self.scale()) for kind in OpKind}


def rules_of(schedule: Schedule) -> tuple[str, Backward]:
    """The placement and the way of going backward of a schedule, as a `Problem` names them.

    >>> from dualpipe_ref.schedule import build
    >>> rules_of(build("zb-v", 2, 3)), rules_of(build("chimera", 2, 2))
    (('v', 'split'), ('bidirectional', 'whole'))
    """
    held = schedule.placement
    if held.directions == 2:
        placement = "bidirectional"
    elif held == Placement.v_shape(held.ranks):
        placement = "v"
    else:
        placement = "linear" if held.slots == 1 else "looped"
    split = any(op.kind is OpKind.W for ops in schedule.ops for op in ops)
    return placement, "split" if split else "whole"
