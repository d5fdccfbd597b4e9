"""Where messages stand: complete, safe with both kinds of sends, and not where one would first put them."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import pytest

from dualpipe_ref.schedule import Batch, Message, Op, OpKind, Payload, Schedule, build
from dualpipe_ref.schedule.formats import load
from dualpipe_ref.schedule.ir import Wire
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.simulate import Costs, Network, simulate

from .samples import Size, all_sizes, schedule_of

GOLDEN = Path(__file__).parents[1] / "golden"
SIZES = [
    *all_sizes(range(2, 6), range(1, 13)),
    *all_sizes(range(6, 9), range(10, 25, 3)),
    *all_sizes(range(8, 9), range(14, 33)),
    *all_sizes(range(16, 17), (30, 31, 32, 33, 48, 64)),
]


def test_every_kind_has_large_sizes() -> None:
    assert len({kind for kind, ranks, _, _ in SIZES if ranks == 16}) == 8


@pytest.mark.parametrize("part", range(8))
def test_verified_with_both_kinds_of_sends(part: int) -> None:
    for size in SIZES[part::8]:
        schedule = schedule_of(size)
        assert find_violations(schedule, rendezvous=True) == (), size
        assert find_violations(schedule, rendezvous=False) == (), size


def dependencies(schedule: Schedule) -> set[Message]:
    """What one rank must hear from another: each output of a stage whose neighbour is elsewhere."""
    found = set()
    for direction, route in enumerate(schedule.placement.routes):
        ranks = [rank for rank, _ in route]
        for stage in range(len(ranks) - 1):
            if ranks[stage] == ranks[stage + 1]:
                continue
            onward = Wire(Payload.ACTIVATION, direction, stage, ranks[stage], ranks[stage + 1])
            back = Wire(Payload.GRADIENT, direction, stage + 1, ranks[stage + 1], ranks[stage])
            for microbatch in range(schedule.microbatches_per_direction):
                found |= {Message(onward, microbatch), Message(back, microbatch)}
    return found


@pytest.mark.parametrize("part", range(8))
def test_each_dependency_has_one_message(part: int) -> None:
    """On the two ranks that it concerns, once, and no other message anywhere."""
    for size in SIZES[part::8]:
        schedule = schedule_of(size)
        seen: Counter[tuple[int, Message]] = Counter()
        for rank, program in enumerate(schedule.programs):
            for event in program:
                if isinstance(event, Batch):
                    seen.update((rank, message) for message in event.messages)
        expected = {
            (rank, message)
            for message in dependencies(schedule)
            for rank in (message.source, message.destination)
        }
        assert set(seen) == expected, size
        assert set(seen.values()) <= {1}, size


@pytest.mark.parametrize("size", SIZES[::5], ids=lambda size: "-".join(map(str, size[:3])))
def test_numbers_and_words_say_the_same(size: Size) -> None:
    """What a builder keeps as integers is what comes back from its programs in words."""
    schedule = build(*size)
    again = Schedule.from_programs(
        schedule.kind, schedule.placement, schedule.microbatches, schedule.programs
    )
    assert again == schedule
    assert vars(schedule)["flat_ops"] == again.flat_ops
    assert vars(schedule)["numbering"] == again.numbering
    for index in range(2 * schedule.numbering.chunks):
        if schedule.numbering.crosses[index // schedule.numbering.n]:
            assert schedule.numbering.message_index(schedule.numbering.message(index)) == index


class Naive:
    """Each op's messages just before and just after it, an FB's activation before its gradient."""

    def __init__(self, schedule: Schedule) -> None:
        self.routes, self.homes = schedule.placement.routes, schedule.placement.homes
        self.sends: dict[tuple[int, int], list] = defaultdict(list)
        self.receives: dict[tuple[int, int], list] = defaultdict(list)
        for rank, ops in enumerate(schedule.ops):
            for op in ops:
                self.add(rank, op)

    def add(self, rank: int, op: Op) -> None:
        if op.forward is not None:
            self.exchange(rank, op.forward, Payload.ACTIVATION, 1)
        if op.backward is not None and op.kind is not OpKind.W:
            self.exchange(rank, op.backward, Payload.GRADIENT, -1)

    def exchange(self, rank: int, chunk, payload: Payload, step: int) -> None:
        """Receive from the stage before this one in the payload's way, send to the one after it."""
        direction, stage = self.homes[rank][chunk.slot]
        route = dict(enumerate(home for home, _ in self.routes[direction]))
        before, after = route.get(stage - step, rank), route.get(stage + step, rank)
        if before != rank:
            name = (payload, direction, stage - step, chunk.microbatch)
            self.receives[before, rank].append(name)
        if after != rank:
            self.sends[rank, after].append((payload, direction, stage, chunk.microbatch))

    def mispaired(self) -> tuple[int, int]:
        """(channels whose k-th send is not always the message of the k-th receive, channels)."""
        wrong = sum(self.sends[channel] != self.receives[channel] for channel in self.sends)
        return wrong, len(self.sends)


@pytest.mark.parametrize(
    ("ranks", "mispaired"), [(4, (0, 6)), (6, (2, 10)), (8, (4, 14)), (12, (8, 22)), (16, (12, 30))]
)
def test_just_before_and_just_after_pairs_the_wrong_messages(
    ranks: int, mispaired: tuple[int, int]
) -> None:
    """On P - 4 of DualPipe's 2P - 2 channels, for any m: this is why a schedule places its messages."""
    for m in (2 * ranks - 2, 2 * ranks, 2 * ranks + 4, 3 * ranks, 5 * ranks):
        assert Naive(build("dualpipe", ranks, m)).mispaired() == mispaired


@pytest.mark.parametrize("kind", ["gpipe", "1f1b", "zb-h1"])
def test_just_before_and_just_after_is_right_on_one_way_pipelines(kind: str) -> None:
    assert Naive(build(kind, 8, 20)).mispaired() == (0, 14)


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.json")))
@pytest.mark.parametrize(
    ("unit", "weight"), [(1, Fraction(3, 2)), (1, 2), (2, 3), (Fraction(1, 3), 5)]
)
def test_what_the_released_placement_costs(name: str, unit: int, weight: int) -> None:
    """In step 3 its W waits for a receive that it does not need: (H-1)(W-I) where a send blocks and F = I."""
    schedule = load(GOLDEN / name).schedule
    costs = Costs(F=unit, I=unit, W=weight)
    half = schedule.placement.stages // 2
    eager, rendezvous = (
        simulate(schedule, costs, Network(sends=sends)).makespan
        for sends in ("eager", "rendezvous")
    )
    assert rendezvous - eager == (half - 1) * (weight - unit)
    # As long as W is no longer than I, it costs nothing.
    short = Costs(F=weight, I=weight, W=unit)
    times = {simulate(schedule, short, Network(sends=s)).makespan for s in ("eager", "rendezvous")}
    assert len(times) == 1
