"""Ways to change an order of work. Some leave it legal, and a checker must accept those.

Each takes the op lists, changes them in place, and says in words what it did, or returns None where
it finds nothing to change. Positions count from 0 in the lists before the change.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from dualpipe_ref.schedule import Chunk, Op, OpKind

Programs = list[list[Op]]
Mutation = Callable[[Programs, Random], str | None]


def pick(programs: Programs, random: Random, *kinds: OpKind) -> tuple[int, int] | None:
    """(rank, place) of a random op, of one of these kinds if any are named."""
    places = [
        (rank, place)
        for rank, ops in enumerate(programs)
        for place, op in enumerate(ops)
        if not kinds or op.kind in kinds
    ]
    return random.choice(places) if places else None


def drop(programs: Programs, random: Random) -> str | None:
    if not (found := pick(programs, random)):
        return None
    rank, place = found
    what = _name(programs, rank, place)
    del programs[rank][place]
    return f"{what} left out"


def double(programs: Programs, random: Random) -> str | None:
    if not (found := pick(programs, random)):
        return None
    rank, place = found
    again = random.randint(place + 1, len(programs[rank]))
    what = _name(programs, rank, place)
    programs[rank].insert(again, programs[rank][place])
    return f"{what} a second time, at {again}"


def rename(programs: Programs, random: Random) -> str | None:
    """Another micro-batch in its place: that one runs twice, or there is none of this number."""
    if not (found := pick(programs, random, OpKind.F, OpKind.B, OpKind.I)):
        return None
    rank, place = found
    what, op = _name(programs, rank, place), programs[rank][place]
    slot, microbatch = op.forward or op.backward or Chunk(0, 0)
    chunk = Chunk(slot, microbatch + 1)
    forward = op.kind is OpKind.F
    programs[rank][place] = Op(op.kind, chunk if forward else None, None if forward else chunk)
    return f"{what} replaced by {programs[rank][place]}"


def reroute(programs: Programs, random: Random) -> str | None:
    """On another rank, where the same slot is another stage."""
    if not (found := pick(programs, random)):
        return None
    rank, place = found
    what = _name(programs, rank, place)
    other = random.choice([other for other in range(len(programs)) if other != rank])
    programs[other].insert(min(place, len(programs[other])), programs[rank].pop(place))
    return f"{what} run on rank {other} instead"


def swap(programs: Programs, random: Random) -> str | None:
    """Two neighbours exchanged."""
    if not (found := pick(programs, random)) or found[1] + 1 == len(programs[found[0]]):
        return None
    return _exchange(programs, found[0], found[1], found[1] + 1)


def exchange(programs: Programs, random: Random) -> str | None:
    """Any two of one rank exchanged."""
    if not (found := pick(programs, random)):
        return None
    rank, place = found
    other = random.randrange(len(programs[rank]))
    return None if other == place else _exchange(programs, rank, *sorted((place, other)))


def exchange_alike(programs: Programs, random: Random) -> str | None:
    """Two ops of one rank and kind exchanged: it breaks no order on the rank more often than others do."""
    if not (found := pick(programs, random)):
        return None
    rank, place = found
    kind = programs[rank][place].kind
    others = [
        other for other, op in enumerate(programs[rank]) if op.kind is kind and other != place
    ]
    return _exchange(programs, rank, *sorted((place, random.choice(others)))) if others else None


def move(programs: Programs, random: Random) -> str | None:
    if not (found := pick(programs, random)):
        return None
    rank, place = found
    what = _name(programs, rank, place)
    target = random.randrange(len(programs[rank]))
    programs[rank].insert(target, programs[rank].pop(place))
    return None if target == place else f"{what} moved to place {target}"


def split(programs: Programs, random: Random) -> str | None:
    """B as I and, at any later place, W: always legal."""
    if not (found := pick(programs, random, OpKind.B)):
        return None
    rank, place = found
    what, ops = _name(programs, rank, place), programs[rank]
    chunk = ops[place].backward
    ops[place] = Op(OpKind.I, None, chunk)
    target = random.randint(place + 1, len(ops))
    ops.insert(target, Op(OpKind.W, None, chunk))
    return f"{what} split into I and, at {target}, W"


def weight_first(programs: Programs, random: Random) -> str | None:
    """B as W, then I: never legal."""
    if not (found := pick(programs, random, OpKind.B)):
        return None
    rank, place = found
    what, chunk = _name(programs, rank, place), programs[rank][place].backward
    programs[rank][place : place + 1] = [Op(OpKind.W, None, chunk), Op(OpKind.I, None, chunk)]
    return f"{what} split into W and then I"


def fuse(programs: Programs, random: Random) -> str | None:
    """A neighbouring F and B as one FB: each then waits for what the other waits for."""
    pairs = [
        (rank, place)
        for rank, ops in enumerate(programs)
        for place in range(len(ops) - 1)
        if {ops[place].kind, ops[place + 1].kind} == {OpKind.F, OpKind.B}
    ]
    if not pairs:
        return None
    rank, place = random.choice(pairs)
    first, second = programs[rank][place : place + 2]
    forward, backward = first.forward or second.forward, first.backward or second.backward
    programs[rank][place : place + 2] = [Op(OpKind.FB, forward, backward)]
    return f"rank {rank}: {first} and {second} (ops {place} and {place + 1}) run as one FB"


def part(programs: Programs, random: Random) -> str | None:
    """An FB as F and B, in either order."""
    if not (found := pick(programs, random, OpKind.FB)):
        return None
    rank, place = found
    what, op = _name(programs, rank, place), programs[rank][place]
    both = [Op(OpKind.F, op.forward), Op(OpKind.B, None, op.backward)]
    random.shuffle(both)
    programs[rank][place : place + 1] = both
    return f"{what} parted into {both[0]} and {both[1]}"


def renumber(programs: Programs, random: Random) -> str | None:
    """Two micro-batches exchanged everywhere: always legal, since their names mean nothing."""
    chunks = [chunk for ops in programs for op in ops for chunk in op[1:] if chunk]
    numbers = sorted({chunk.microbatch for chunk in chunks})
    if len(numbers) < 2:
        return None
    first, second = sorted(random.sample(numbers, 2))
    new = {first: second, second: first}

    def other(chunk: Chunk | None) -> Chunk | None:
        return chunk and Chunk(chunk.slot, new.get(chunk.microbatch, chunk.microbatch))

    for ops in programs:
        ops[:] = [Op(kind, other(forward), other(backward)) for kind, forward, backward in ops]
    return f"micro-batches {first} and {second} exchanged on all ranks"


MUTATIONS: tuple[Mutation, ...] = (
    drop,
    double,
    rename,
    reroute,
    swap,
    exchange,
    exchange_alike,
    move,
    split,
    weight_first,
    fuse,
    part,
    renumber,
)


def _exchange(programs: Programs, rank: int, first: int, second: int) -> str:
    ops = programs[rank]
    what = f"rank {rank}: {ops[first]} and {ops[second]} (ops {first} and {second}) exchanged"
    ops[first], ops[second] = ops[second], ops[first]
    return what


def _name(programs: Programs, rank: int, place: int) -> str:
    return f"rank {rank}: {programs[rank][place]} (op {place})"
