# rejected by unequal stages: the extra time is compared with a fixed one, and small stages lose less

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

# ("sum", stage), ("norm", stage), ("clip",), ("step", stage), ("zero", stage)
Action = tuple
# (rank, kind, stages, start, end): `stages` has one stage, or for an FB the forward's and the backward's.
Span = tuple


def loss_scales(tokens: list[list[int]]) -> list[list[Fraction]]:
    """What to multiply each micro-batch's mean loss with; `tokens[copy][microbatch]` is its number of tokens."""
    # A mean over n tokens has given each of them 1 / n; one device gives each 1 / (all tokens).
    total = sum(map(sum, tokens))
    return [[Fraction(number, total) for number in copy] for copy in tokens]


def finish_step(rank: int, copy: int, held: list[list[int]]) -> list[Action]:
    """What rank `rank` of copy `copy` does after its last backward; `held[rank]` are the stages on each rank."""
    # All ranks go through the stages in one order, whatever the order of their slots: nobody waits in a ring.
    own = sorted(held[rank])
    actions: list[Action] = [("sum", stage) for stage in own]
    for stage in own:
        first = next(other for other, stages in enumerate(held) if stage in stages)
        if (rank, copy) == (first, 0):  # what many hold counts once
            actions.append(("norm", stage))
    actions.append(("clip",))
    for stage in own:
        actions += [("step", stage), ("zero", stage)]
    return actions


def find_straggler(spans: list[Span], layers: list[int]) -> int | None:
    """The rank whose ops all take longer than their work explains; None where there is none."""

    def middle(values: list[Fraction]) -> Fraction:
        return sorted(values)[len(values) // 2]

    paces: dict[str, dict[int, list[Fraction]]] = defaultdict(lambda: defaultdict(list))
    for rank, kind, stages, start, end in spans:
        work = sum(layers[stage] for stage in stages)
        paces[kind][rank].append(Fraction(end - start) / work)
    fastest = {kind: min(map(middle, by_rank.values())) for kind, by_rank in paces.items()}
    extra: dict[int, list[Fraction]] = defaultdict(list)
    for rank, kind, stages, start, end in spans:
        work = sum(layers[stage] for stage in stages)
        extra[rank].append(Fraction(end - start) - work * fastest[kind])
    middles = {rank: middle(values) for rank, values in extra.items()}
    slowest = max(middles, key=lambda rank: middles[rank])
    return slowest if middles[slowest] > Fraction(3, 4) else None
