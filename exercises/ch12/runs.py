"""What the checks of chapter 12 ask about SMs: runs of a GPU with what was planted in them, the smallest first."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dualpipe_ref.hopper.sm_map import BOTH, COMMUNICATION, COMPUTE, NOTHING, Ran, sm_map

Record = list[int]
SHARED, IN_TURNS, APART, NOT_PROVEN = "shared", "in turns", "apart", "not proven"


class Run(NamedTuple):
    """What blocks wrote on a GPU of `sms` SMs, `given` of them for communication, and what was planted."""

    sms: int
    given: int
    communication: list[Record]
    computation: list[Record]
    planted: str = "nothing"

    def __str__(self) -> str:
        return f"S = {self.sms}, {self.given} given"

    def in_full(self) -> str:
        return f"communication {_short(self.communication)}, computation {_short(self.computation)}"

    def sides(self) -> tuple[list[Ran], list[Ran]]:
        """The records that are whole."""
        sides = self.communication, self.computation
        mine, theirs = ([Ran(*one) for one in _written(side)] for side in sides)
        return mine, theirs

    def lists(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """SMs of communication, of computation, of both, of both at once."""
        found = sm_map(self.sms, *self.sides())
        both = found.sms(BOTH)
        mine, theirs = (sorted(found.sms(role) + both) for role in (COMMUNICATION, COMPUTE))
        return mine, theirs, both, list(found.together)

    def verdict(self) -> tuple[str, str]:
        """What is proven, and why."""
        first, _, both, at_once = self.lists()
        mine, theirs = self.sides()
        if at_once:
            return SHARED, f"SM {at_once[0]} ran both at once"
        if both:
            return IN_TURNS, f"SM {both[0]} ran both, one after the other"
        if len(mine) < len(self.communication) or len(theirs) < len(self.computation):
            return NOT_PROVEN, "a block left no whole record"
        if len(first) != self.given:
            return NOT_PROVEN, f"communication ran on {len(first)} SMs, {self.given} were given"
        left = self.sms - self.given
        if len(theirs) <= left:
            return NOT_PROVEN, f"{left} SMs are enough for {len(theirs)} blocks: none was tempted"
        beside = [other._replace(sm=0) for other in theirs]
        for one in mine:
            # As if there were one SM: then whoever was there at the same time was there together.
            if not sm_map(1, [one._replace(sm=0)], beside).together:
                return NOT_PROVEN, f"nothing was computed while the block on SM {one.sm} ran"
        return APART, "each block of communication ran beside others, on an SM of its own"


def _short(records: list[Record]) -> str:
    if len(records) < 9:
        return str(records)
    return f"[{', '.join(map(str, records[:6]))}, ... {len(records)} in all]"


def runs() -> Iterator[Run]:
    """Small GPUs first; on each every fault and every pair of them that a verdict must weigh."""
    draw = random.Random(12)
    for sms, given in ((2, 1), (3, 1), (4, 2), (9, 4), (16, 8), (132, 20)):
        for planted in PLANTED:
            if given > 1 or not {"doubled", "too many"} & set(planted.split(" and ")):
                yield planted_run(sms, given, planted, draw)


def planted_run(sms: int, given: int, planted: str, draw: random.Random) -> Run:
    """A run in which `planted` happened: names of `FAULTS`, with `and` between two."""
    run = honest(sms, given, draw)
    for name in planted.split(" and "):
        if name != "nothing":
            run = FAULTS[name](run, draw)
    for records in (run.communication, run.computation):
        draw.shuffle(records)
    return run._replace(planted=planted)


def honest(sms: int, given: int, draw: random.Random) -> Run:
    """Communication stays on the SMs that it was given; computation comes in rounds on the rest, sooner or later."""
    numbers = list(range(sms))
    draw.shuffle(numbers)
    mine = [[sm, draw.randint(0, 9), draw.randint(100, 120)] for sm in numbers[:given]]
    theirs: list[Record] = []
    for sm in numbers[given:]:
        at = draw.randint(10, 40)
        for _ in range(3):
            ended = at + draw.randint(5, 40)
            theirs.append([sm, at, ended])
            at = ended + draw.randint(0, 2)
    return Run(sms, given, mine, theirs)


def _shared(run: Run, draw: random.Random) -> Run:
    """A block of computation on an SM of communication, by one nanosecond or in the midst of it."""
    sm, began, ended = draw.choice(_written(run.communication))
    inside = draw.choice(((ended - 1, ended + 9), (began + 5, began + 5), (began + 3, ended + 5)))
    return run._replace(computation=[*run.computation, [sm, *inside]])


def _in_turns(run: Run, draw: random.Random) -> Run:
    """One on an SM of communication when that has just ended there."""
    sm, _, ended = draw.choice(_written(run.communication))
    return run._replace(computation=[*run.computation, [sm, ended, ended + 9]])


def _written(records: list[Record]) -> list[Record]:
    """Those that are whole."""
    return [one for one in records if NOTHING not in one]


def _lost(run: Run, draw: random.Random) -> Run:
    """A block that wrote nothing, on either side, but never all of communication's."""
    return _without(run, draw, lambda sm, began, ended: [NOTHING] * 3)


def _unfinished(run: Run, draw: random.Random) -> Run:
    """A block that began and did not come to its end."""
    return _without(run, draw, lambda sm, began, ended: [sm, began, NOTHING])


def _without(run: Run, draw: random.Random, change: Callable[[int, int, int], Record]) -> Run:
    mine, theirs = list(run.communication), list(run.computation)
    side = theirs if run.given == 1 else draw.choice((mine, theirs))
    place = draw.randrange(len(side))
    side[place] = change(*side[place])
    return run._replace(communication=mine, computation=theirs)


def _doubled(run: Run, draw: random.Random) -> Run:
    """Two blocks on one SM, and so none on another one that was given."""
    first, *rest = run.communication
    return run._replace(communication=[first, *rest[1:], list(first)])


def _too_many(run: Run, draw: random.Random) -> Run:
    """Fewer were given than communication ran on."""
    return run._replace(given=run.given - 1)


def _late(run: Run, draw: random.Random) -> Run:
    """Computation begins when the last block of communication ends."""
    later = max(ended for *_, ended in run.communication)
    shift = later - min(began for _, began, _ in run.computation)
    return run._replace(computation=[[sm, a + shift, b + shift] for sm, a, b in run.computation])


def _early(run: Run, draw: random.Random) -> Run:
    """One block of communication is over when computation begins."""
    begins = min(began for _, began, _ in run.computation)
    chosen = draw.randrange(run.given)
    mine = [
        [sm, began, begins if place == chosen else ended]
        for place, (sm, began, ended) in enumerate(run.communication)
    ]
    return run._replace(communication=mine)


def _few(run: Run, draw: random.Random) -> Run:
    """No more blocks of computation than SMs were left to it: the first on each."""
    first: dict[int, Record] = {}
    for one in run.computation:
        first.setdefault(one[0], one)
    return run._replace(computation=list(first.values()))


def _idle(run: Run, draw: random.Random) -> Run:
    """Some SMs of the rest ran nothing, where more than one was left; the others ran enough."""
    used = sorted({one[0] for one in run.computation})
    kept = used[: max(1, -(-len(used) // 2))]
    return run._replace(computation=[one for one in run.computation if one[0] in kept])


def _nothing_computed(run: Run, draw: random.Random) -> Run:
    return run._replace(computation=[])


FAULTS: dict[str, Callable[[Run, random.Random], Run]] = {
    "shared": _shared,
    "in turns": _in_turns,
    "lost": _lost,
    "unfinished": _unfinished,
    "doubled": _doubled,
    "too many": _too_many,
    "late": _late,
    "early": _early,
    "few": _few,
    "idle": _idle,
    "nothing computed": _nothing_computed,
}
# What is planted, and the verdict. What speaks against is not undone by what is missing.
PLANTED = {
    "nothing": APART,
    "idle": APART,
    "shared": SHARED,
    "in turns": IN_TURNS,
    "lost": NOT_PROVEN,
    "unfinished": NOT_PROVEN,
    "doubled": NOT_PROVEN,
    "too many": NOT_PROVEN,
    "late": NOT_PROVEN,
    "early": NOT_PROVEN,
    "few": NOT_PROVEN,
    "nothing computed": NOT_PROVEN,
    "in turns and shared": SHARED,
    "doubled and shared": SHARED,
    "lost and shared": SHARED,
    "unfinished and in turns": IN_TURNS,
    "few and in turns": IN_TURNS,
    "late and lost": NOT_PROVEN,
}
