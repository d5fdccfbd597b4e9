# rejected by deadlock: only the first holder of a stage comes to the sum

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
    actions: list[Action] = [
        ("sum", stage)
        for stage in own
        if next(other for other, stages in enumerate(held) if stage in stages) == rank
    ]
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

    # Time a layer, by kind and rank: neither waiting nor the size of a stage is in it.
    paces: dict[str, dict[int, list[Fraction]]] = defaultdict(lambda: defaultdict(list))
    for rank, kind, stages, start, end in spans:
        work = sum(layers[stage] for stage in stages)
        paces[kind][rank].append(Fraction(end - start) / work)
    slowness: dict[int, list[Fraction]] = defaultdict(list)
    for by_rank in paces.values():
        if len(by_rank) == 1:  # nobody to compare with
            continue
        fastest = min(map(middle, by_rank.values()))
        for rank, values in by_rank.items():
            slowness[rank] += [value / fastest for value in values]
    # The middle of many ops forgets the one that was disturbed.
    middles = {rank: middle(values) for rank, values in slowness.items()}
    slowest = max(middles, key=lambda rank: middles[rank])
    others = max(value for rank, value in middles.items() if rank != slowest)
    return slowest if middles[slowest] > Fraction(23, 20) * others else None
