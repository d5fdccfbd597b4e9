"""What an answer to chapter 11 must do: count what a rank holds, choose what fits, and make values again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from reprlib import repr as short
from typing import Any

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.grading.oplists import to_plain
from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.simulate import simulate
from dualpipe_ref.simulate.chunk_bytes import ChunkBytes
from dualpipe_ref.simulate.footprint import Footprint, StageBytes, footprint

from .machine import Machine, plain

WHOLE = (("gpipe", 2, 3), ("1f1b", 2, 3), ("1f1b", 4, 6), ("gpipe", 4, 5), ("1f1b", 8, 12))
SPLIT = (
    *(("zb-h1", 2, 3), ("dualpipe", 2, 4), ("zb-h1", 4, 8), ("zb-v", 4, 8), ("dualpipe", 4, 8)),
    *(("dualpipev", 4, 10), ("dualpipe", 8, 20)),
)
CHUNKS = [(layers, every) for layers in range(1, 11) for every in range(1, layers + 1)]
Sizes = dict[str, int]


def sizes_of(stages: int, seed: int) -> list[Sizes]:
    """Bytes of each stage's chunks. In some W waits with more than I lets go, as after a recomputation."""
    random = Random(seed)
    return [
        {
            "kept": random.randint(20, 60),
            "waits": random.randint(5, 80),
            "remade": random.choice([0, random.randint(10, 50)]),
        }
        for _ in range(stages)
    ]


def right(schedule: Schedule, sizes: list[Sizes], lasting: int) -> Footprint:
    """The levels of all ranks, `lasting` on each."""
    share = lasting // schedule.placement.slots
    assert share * schedule.placement.slots == lasting
    stages = [
        StageBytes(
            share,
            0,
            0,
            ChunkBytes({"kept": one["kept"]}, {"waits": one["waits"]}, remade=one["remade"]),
        )
        for one in sizes
    ]
    return footprint(simulate(schedule), stages)


def held(schedule: Schedule, rank: int, sizes: list[Sizes]) -> list[Sizes]:
    """The sizes of a rank's slots."""
    return [sizes[stage] for _, stage in schedule.placement.homes[rank]]


def cases(chosen: tuple[tuple[str, int, int], ...]) -> Iterator[tuple[str, Schedule, list[Sizes]]]:
    for kind, ranks, microbatches in chosen:
        schedule = build(kind, ranks, microbatches)
        where = f"P = {ranks}, m = {microbatches}, {kind}"
        for seed in range(3):
            yield where, schedule, sizes_of(schedule.placement.stages, seed)


def peak(chosen: tuple[tuple[str, int, int], ...]) -> Callable[[Answer], Fault | None]:
    """The answer's peak is that of the simulator on every rank."""

    def find_fault(answer: Answer) -> Fault | None:
        for where, schedule, sizes in cases(chosen):
            lasting = 100 * schedule.placement.slots
            levels = right(schedule, sizes, lasting).levels
            for rank, ops in enumerate(schedule.ops):
                own = held(schedule, rank, sizes)
                said = call(answer, "peak_bytes", list(map(to_plain, ops)), own, lasting)
                totals = [level.total for level in levels[rank]]
                if type(said) is not int or said != max(totals):
                    # The first level is that before all ops; then come three an op.
                    place = max(0, (totals.index(max(totals)) - 1) // 3)
                    what = (
                        f"rank {rank} with {own} and {lasting} that last: yours {short(said)}, right"
                        f" {max(totals)}, at {ops[place]} (op {place})"
                    )
                    case = Counterexample.at(schedule, [(rank, place)], f"rank {rank} holds most")
                    return Fault(f"{where}: {what}", case)
        return None

    return find_fault


def cheapest(answer: Answer) -> Fault | None:
    """With every capacity at which the choice changes, and one byte less."""
    for where, schedule, none in cases((*WHOLE[:3], *SPLIT[:5])):
        policies = _policies(none)
        for rank, ops in enumerate(schedule.ops):
            lasting = 10 * schedule.placement.slots
            peaks = [
                (cost, right(schedule, sizes, lasting).peaks[rank].total, name)
                for name, cost, sizes in policies
            ]
            told = [(name, cost, held(schedule, rank, sizes)) for name, cost, sizes in policies]
            for capacity in sorted({total - less for _, total, _ in peaks for less in (0, 1)}):
                fitting = [one for one in peaks if one[1] <= capacity]
                wanted = min(fitting)[2] if fitting else None
                plain_ops = list(map(to_plain, ops))
                said = call(answer, "cheapest_policy", plain_ops, told, lasting, capacity)
                if said != wanted or type(said) not in (str, type(None)):
                    words = ", ".join(f"{name} costs {cost}, needs {n}" for cost, n, name in peaks)
                    what = (
                        f"rank {rank} has {capacity} bytes: yours {short(said)}, right {wanted!r}"
                    )
                    case = Counterexample.at(schedule, [(rank, 0)], what)
                    return Fault(f"{where}: {what} ({words})", case)
    return None


def _policies(none: list[Sizes]) -> list[tuple[str, int, list[Sizes]]]:
    """Not in the order of what they cost; two cost the same, and one keeps little and makes much again."""

    def changed(kept: int, remade: int) -> list[Sizes]:
        return [
            {**one, "kept": one["kept"] * kept // 10, "remade": one["kept"] * remade // 10}
            for one in none
        ]

    return [
        ("full", 10, changed(2, 8)),
        ("none", 0, [{**one, "remade": 0} for one in none]),
        ("up-projections", 2, changed(5, 2)),
        ("attention", 2, changed(7, 3)),
        ("norms", 1, changed(9, 1)),
    ]


def ran(answer: Answer, layers: int, every: int) -> Machine:
    machine = Machine(layers)
    try:
        machine.run(call(answer, "recomputed_chunk", layers, every))
    except Fault as fault:
        raise Fault(f"{_at(layers, every)}: {fault}") from None
    return machine


def _at(layers: int, every: int) -> str:
    return f"layers = {layers}, every = {every}"


def equal(answer: Answer) -> str | None:
    """Every gradient is that of the chunk which keeps everything, to the last digit."""
    for layers, every in CHUNKS:
        machine, wanted = ran(answer, layers, every), plain(layers)
        got: list[Any] = [machine.of_weights.get(layer) for layer in range(layers)]
        got.append(machine.gradients.get(0))
        for layer, (here, there) in enumerate(zip(got, wanted, strict=True)):
            if here != there:
                what = "input" if layer == layers else f"weight of layer {layer}"
                found = "is missing" if here is None else f"is {here}, not {there}"
                return f"{_at(layers, every)}: the gradient of the {what} {found}"
        if machine.turns != 1:
            return f"{_at(layers, every)}: there are {machine.turns} turns, not 1"
    return None


def kept(answer: Answer) -> str | None:
    """At the turn only every k-th input is there, and later one segment more."""
    for layers, every in CHUNKS:
        machine, most = ran(answer, layers, every), -(-layers // every)
        if machine.at_turn > most:
            return (
                f"{_at(layers, every)}: {machine.at_turn} values are kept at the turn, not {most}"
            )
        later = most + every - 1
        if machine.after_turn > later:
            return f"{_at(layers, every)}: {machine.after_turn} values at once after the turn, not {later}"
        if machine.values:
            return f"{_at(layers, every)}: {len(machine.values)} values are left at the end"
    return None


def once_more(answer: Answer) -> str | None:
    """No layer is run that need not be."""
    for layers, every in CHUNKS:
        machine, least = ran(answer, layers, every), 2 * layers - -(-layers // every)
        if len(machine.forwards) > least:
            count = len(machine.forwards)
            return f"{_at(layers, every)}: {count} forwards of layers are run, where {least} do"
    return None


CHECKS = (
    Check(
        "peak",
        "F and B: the most that a rank holds",
        peak(WHOLE),
        points=2,
        hint="a chunk counts from the start of its F to the end of its B, and B makes something again meanwhile",
    ),
    Check(
        "split",
        "I, W and pairs: the most that a rank holds",
        peak(SPLIT),
        needs=("peak",),
        points=2,
        hint="look after each op, too: what waits for W may be more than what I let go",
    ),
    Check(
        "cheapest",
        "the policy that costs least of those that fit",
        cheapest,
        needs=("peak", "split"),
        points=2,
        hint="compare costs first, bytes only where costs are equal; exactly full still fits",
    ),
    Check(
        "equal",
        "gradients are the same fractions as with everything kept",
        equal,
        points=2,
        hint="before the backward of a segment, run its layers again from the input that was kept",
    ),
    Check(
        "kept",
        "at the turn every k-th input, later one segment more",
        kept,
        needs=("equal",),
        points=1,
        hint="drop an input when its layer's forward has run, and once more when its backward has",
    ),
    Check(
        "once more",
        "no layer is run that need not be",
        once_more,
        needs=("equal",),
        points=1,
        hint="whose output does nobody need: the backward of a layer wants its input alone",
    ),
)
