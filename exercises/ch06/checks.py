"""What an answer to chapter 6 must do: hold, order, exchange and add up; each on many sizes, smallest first."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from fractions import Fraction
from reprlib import repr as short

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.grading.oplists import (
    Size,
    ask_rank,
    at,
    each,
    growing,
    incomplete,
    stuck,
)
from dualpipe_ref.schedule import OpKind, Placement
from dualpipe_ref.schedule.occupancy import occupancy
from dualpipe_ref.simulate import Costs, find_formula, simulate

from .machine import Meeting, Task, left_over, tasks

NAME = "chimera"
UNITS = growing((ranks, ranks) for ranks in range(2, 17, 2))
MORE = growing(
    [(ranks, units * ranks) for ranks in range(2, 11, 2) for units in (2, 3, 4)] + [(16, 32)]
)
SIZES = growing([*UNITS, *MORE])
# (F, B): equal, usual, a cheap backward, an odd one.
COSTS = ((1, 1), (1, 2), (3, 1), (Fraction(7, 5), Fraction(22, 9)))
# Parts that a sum with a correction for rounding does not get right in every order either.
HARD = (1e40, 1e20, 1.0, 1.0, 1.0, 3.0, -1e20, -1e40)


def placement(answer: Answer) -> str | None:
    for ranks in range(2, 17):
        for rank, right in enumerate(Placement.bidirectional(ranks).homes):
            said = call(answer, "homes", rank, ranks)
            if not isinstance(said, list | tuple) or [_pair(one) for one in said] != list(right):
                return f"P = {ranks}: rank {rank} holds {list(right)}, you say {short(said)}"
    return None


def _pair(item: object) -> tuple[int, int] | None:
    """The two ints that it is made of; None where it is anything else."""
    match item:
        case [int(one), int(other)] if type(one) is int and type(other) is int:
            return one, other
    return None


def complete(answer: Answer) -> str | Fault | None:
    """Each chunk's F and B once, F first; no other ops, since here a backward is one piece."""
    for size in SIZES:
        for rank in range(size[0]):
            for place, op in enumerate(ask_rank(answer, NAME, rank, size)):
                if op.kind not in (OpKind.F, OpKind.B):
                    return f"{at(size)}: rank {rank} runs {op} (op {place}); use F and B alone"
    return incomplete(NAME, NAME, SIZES)(answer)


def memory(answer: Answer) -> Fault | None:
    """No rank holds more than P/2 + 1 + h chunks."""
    for size, schedule in each(answer, NAME, NAME, SIZES):
        ranks = size[0]
        for rank, ops in enumerate(schedule.ops):
            bound = ranks // 2 + 1 + min(rank, ranks - 1 - rank)
            for place, (during, _) in enumerate(occupancy(ops)):
                if during.activations > bound:
                    what = (
                        f"rank {rank} at {ops[place]} (op {place}) holds {during.activations} chunks;"
                        f" the bound is P/2 + 1 + h = {bound}"
                    )
                    case = Counterexample.at(schedule, [(rank, place)], what)
                    return Fault(f"{at(size)}: {what}", case)
    return None


def bubble(sizes: tuple[Size, ...]) -> Callable[[Answer], Fault | None]:
    """No rank idles for longer than in the package's order, for every cost."""
    formula = find_formula(NAME, "bubble", "exact")

    def find_fault(answer: Answer) -> Fault | None:
        for size, schedule in each(answer, NAME, NAME, sizes):
            for forward, backward in COSTS:
                costs = Costs(forward, 1, 1, backward)
                best = formula.evaluate(*size, costs)
                for rank, idle in enumerate(simulate(schedule, costs).idle):
                    if idle > best:
                        what = f"rank {rank} idles for {idle}, longer than {formula.expression} = {best}"
                        case = Counterexample.at(schedule, (), what, costs)
                        return Fault(f"{at(size)}, F = {forward}, B = {backward}: {what}", case)
        return None

    return find_fault


def meetings_of(answer: Answer, task: Task) -> list[list[Meeting]]:
    """Where each rank meets whom. Raises `Fault` for a meeting that is none."""
    programs = []
    for rank in range(task.ranks):
        said = call(answer, "exchanges", rank, task.routes)
        if not isinstance(said, list | tuple):
            raise Fault(f"{task}: exchanges returns {short(said)}, not a list of meetings")
        due = task.due(rank)
        programs.append([_meeting(item, due, f"{task}: rank {rank}") for item in said])
        for meeting in due:
            if (times := programs[-1].count(meeting)) != 1:
                stage, other = meeting
                often = f"{times} times" if times else "never"
                raise Fault(f"{task}: rank {rank} meets rank {other} for stage {stage} {often}")
    return programs


def _meeting(item: object, due: list[Meeting], where: str) -> Meeting:
    pair = _pair(item)
    if pair is None:
        raise Fault(f"{where}: {short(item)} is no meeting: write (stage, the other rank)")
    if pair not in due:
        raise Fault(f"{where} shares no stage {pair[0]} with rank {pair[1]}")
    return pair


def exchanges(answer: Answer) -> str | None:
    """Each copy of a stage that two ranks hold meets the other once, and nobody waits for ever."""
    for task in tasks():
        left = left_over(meetings_of(answer, task))
        for rank, program in enumerate(left):
            if program:
                stage, other = program[0]
                there = f"is at stage {left[other][0][0]} with rank {left[other][0][1]}"
                return f"{task}: rank {rank} waits for rank {other} at stage {stage}, which {there}"
    return None


def same_bits(answer: Answer) -> str | None:
    """One result for every order in which the parts come, and it is their sum but for rounding."""
    draw = random.Random(6)
    for copies in (1, 2, 3, 4):
        for turn in range(30):
            keys = [(direction, copy) for direction in (0, 1) for copy in range(copies)]
            spread = 10.0 ** (turn % 6)
            values = [draw.uniform(-1, 1) * spread ** draw.random() for _ in keys]
            if turn % 3 == 2:
                values = draw.sample(HARD, len(keys))
            parts = [(*key, value) for key, value in zip(keys, values, strict=True)]
            if fault := _order_counts(answer, parts, draw, copies):
                return fault
    return None


def _order_counts(
    answer: Answer, parts: list[tuple[int, int, float]], draw: random.Random, copies: int
) -> str | None:
    values = [value for *_, value in parts]
    first = None
    for _ in range(8):
        came = draw.sample(parts, len(parts))
        said = call(answer, "total", came)
        if type(said) is not float:
            return f"copies = {copies}: total({short(came)}) gives {short(said)}, no float"
        if abs(said - math.fsum(values)) > 1e-12 * math.fsum(map(abs, values)):
            return f"copies = {copies}: {values} add up to {math.fsum(values)!r}, you say {said!r}"
        if first is not None and said.hex() != first[0].hex():
            return (
                f"copies = {copies}: {first[1]} give {first[0]!r}; the same as {came} give {said!r}"
            )
        first = first or (said, came)
    return None


CHECKS = (
    Check(
        "placement",
        "(direction, stage) of both slots, for every rank",
        placement,
        points=1,
        hint="direction 1 enters at the last rank: which rank does it reach after s stages?",
    ),
    Check(
        "complete",
        "each micro-batch of either direction runs F and B once on every rank, F before B",
        complete,
        points=1,
        hint="m/2 micro-batches a direction, each numbered from 0",
    ),
    Check(
        "deadlock",
        "every rank reaches its end",
        stuck(NAME, NAME, SIZES),
        needs=("complete",),
        points=1,
        hint="write down in which slot of time each op of one micro-batch runs on each rank",
    ),
    Check(
        "memory",
        "rank r never holds more than P/2 + 1 + h chunks",
        memory,
        needs=("deadlock",),
        points=1,
        hint="no more than P/2 micro-batches of a direction are under way",
    ),
    Check(
        "unit",
        "with m = P each rank idles for (P - 2) max(F, B) at most",
        bubble(UNITS),
        needs=("deadlock",),
        points=1,
        hint="a micro-batch enters in every second slot of time; the other direction takes those between",
    ),
    Check(
        "units",
        "each further unit adds (P - 2)|F - B| at most, and nothing where F = B",
        bubble(MORE),
        needs=("unit",),
        points=2,
        hint="the next unit's first forwards run between this unit's last backwards",
    ),
    Check(
        "exchanges",
        "each stage on two ranks meets once, and nobody waits for ever, however the copies are dealt",
        exchanges,
        points=2,
        hint="what do all ranks have in common that could say which meeting comes first?",
    ),
    Check(
        "same bits",
        "the sum is the same to the last bit in whatever order its parts come",
        same_bits,
        points=1,
        hint="put the parts into an order that does not depend on who came first",
    ),
)
