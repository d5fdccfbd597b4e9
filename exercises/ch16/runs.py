"""All runs that the checks ask about: the themes at every size, with memory, simulations and ties made for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from .case import ALWAYS, GIB, SIZES, Run, drawn, equal, long_weights, themes
from .choices import Decision, Flip, choice_at, decision, flips
from .truth import Row, line_of, network, parts, rows_of

Q = Fraction


class Judged(NamedTuple):
    """A run with all that is right about it."""

    run: Run
    rows: tuple[Row, ...]
    decision: Decision
    flip: Flip


@cache
def runs() -> tuple[Judged, ...]:
    """Smallest sizes first. Each theme comes at every fourth size, ties wherever there is one."""
    found = []
    for seed, size in enumerate(SIZES):
        found += [
            run
            for place, run in enumerate(_of(*size, seed))
            if (place + seed) % 4 == 0 or run.theme in ALWAYS.get(size, ())
        ]
        found += [*_ties(*size, seed), *_between(*size, seed)]
    found.sort(key=lambda run: run.ranks * run.microbatches)
    return tuple(Judged(run, rows_of(run), decision(run), flips(run)) for run in found)


def _of(ranks: int, microbatches: int, seed: int) -> Iterator[Run]:
    bare = list(themes(ranks, microbatches, seed))
    yield from bare
    simulated = replace(bare[0], theme="ZB-V simulated", hidden=Q(1, 10))
    zb_v = line_of(simulated, "ZB-V").fixed
    yield replace(simulated, simulated=(("ZB-V", microbatches, zb_v),))
    stale = (("ZB-V", microbatches + 2, zb_v * 9 / 10),)
    yield replace(simulated, theme="ZB-V simulated at another m", simulated=stale)
    yield from _memory(bare[0])


def _memory(run: Run) -> Iterator[Run]:
    """GPUs that are just large enough for some candidate, just too small, and too small for all."""
    needs = {row.name: Q(row.bytes) / GIB for row in rows_of(run) if row.bytes}
    for name in ("DualPipe", "DualPipeV", "1F1B"):
        if name in needs:
            yield replace(run, theme=f"{name} fits to the byte", memory=needs[name])
            # 3 % more bytes than gibibytes times 10^9: whoever takes GB for GiB turns it away.
            memory = Q(round(needs[name] * Q(103, 100) * 100), 100)
            yield replace(run, theme=f"{name} fits, in GiB", memory=memory)
    least = min(needs.values())
    yield replace(run, theme="nothing fits", memory=Q(round(least * 90), 100))


def _ties(ranks: int, microbatches: int, seed: int) -> Iterator[Run]:
    """Two candidates equally fast, by the share that is hidden; in some the smaller stands later in the list."""
    in_domain = equal(long_weights(drawn("a tie", ranks, microbatches, seed)))
    full = replace(
        drawn("a tie of two pairs", ranks, microbatches, seed),
        F=Q(6), I=Q(4), W=Q(4), exchange_F=Q(7), exchange_I=Q(3),
    )  # fmt: skip
    for run, one, other in (
        (in_domain, "ZB-V", "DualPipeV"),
        (full, "DualPipe", "Interleaved"),
        (full, "DualPipe", "DualPipeV"),
    ):
        tied = _tied(replace(run, reserved=2), one, other)
        if tied and decision(tied).margin == 0:
            yield tied


def _between(ranks: int, microbatches: int, seed: int) -> Iterator[Run]:
    """As many SMs more as SMs less make the choice another one."""
    run = replace(drawn("a choice between two others", ranks, microbatches, seed), hidden=Q(1))
    choices = [(count, choice_at(run, count)) for count in range(0, run.sms, 2)]
    groups = [[count for count, _ in group] for _, group in groupby(choices, itemgetter(1))]
    for group in groups[1:-1]:
        if len(group) % 2:
            yield replace(run, reserved=group[len(group) // 2])
            return


def _tied(run: Run, one: str, other: str) -> Run | None:
    """The run with the hidden share at which both take equally long, if there is one."""
    rows = {row.name: row for row in rows_of(run)}
    if rows[one].time is None or rows[other].time is None:
        return None
    first, second, told = line_of(run, one), line_of(run, other), parts(run)
    if first.slope == second.slope:
        return None
    pair = (second.fixed - first.fixed) / (first.slope - second.slope)
    hidden = (told["pair"] + told["hidden"] - pair) / network(run)
    if not 0 <= hidden <= 1:
        return None
    most = max(rows[one].bytes or 0, rows[other].bytes or 0)
    return replace(run, hidden=hidden, memory=Q(most) / GIB)
