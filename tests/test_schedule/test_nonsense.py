"""Schedules made by hand that make no sense: a violation or an InputError, never another exception."""

from __future__ import annotations

import pytest

from dualpipe_ref.schedule import Batch, Chunk, InputError, Op, OpKind, Placement, Schedule, build
from dualpipe_ref.schedule.ir import Wire
from dualpipe_ref.schedule.verify import find_violations
from dualpipe_ref.schedule.violations import Rule

from .two_ranks import RIGHT, WIRES, message, op, two_ranks

LINEAR = Placement.linear(2)
HUGE = (10**9, 10**15, 10**18, 10**30, 10**4000, -1, -(10**30))


def first_violation(schedule: Schedule) -> str:
    for rendezvous in (True, False):
        found = find_violations(schedule, rendezvous=rendezvous)
        assert found
    return str(found[0])


def made_of_numbers(ops: tuple, batches: tuple, m: int = 1) -> Schedule:
    return Schedule("1f1b", LINEAR, m, ops, batches)


def test_empty_programs() -> None:
    empty = two_ranks("", "", microbatches=3)
    assert len(find_violations(empty)) == 6
    assert first_violation(empty).endswith(
        "rank 0 never runs F and I and W of micro-batch 0 in slot 0"
    )


@pytest.mark.parametrize("kind", ["dualpipe", "zb-v", "interleaved", "chimera"])
def test_one_rank_does_nothing(kind: str) -> None:
    right = build(kind, 4, 8)
    for rank in range(4):
        programs = [*right.programs[:rank], (), *right.programs[rank + 1 :]]
        idle = Schedule.from_programs(kind, right.placement, 8, programs)
        assert f"rank {rank} never runs" in first_violation(idle)


def test_no_ops_but_all_messages_and_the_reverse() -> None:
    right = build("dualpipe", 4, 6)
    silent = tuple(((),) * (len(ops) + 1) for ops in right.ops)
    assert "is never received" in first_violation(
        Schedule("dualpipe", right.placement, 6, right.ops, silent)
    )
    talk = [[event for event in program if isinstance(event, Batch)] for program in right.programs]
    assert "never runs" in first_violation(
        Schedule.from_programs("dualpipe", right.placement, 6, talk)
    )


@pytest.mark.parametrize(
    "wire",
    [
        WIRES["a"]._replace(destination=0),
        WIRES["a"]._replace(source=1, destination=0),
        WIRES["a"]._replace(stage=1),
        WIRES["a"]._replace(stage=-1),
        WIRES["a"]._replace(direction=1),
        WIRES["a"]._replace(destination=7),
        WIRES["a"]._replace(destination=-1),
        WIRES["a"]._replace(payload="letters"),
        Wire("activation", 0, 1, 1, -1),
    ],
)
@pytest.mark.parametrize("rank", [0, 1])
def test_a_wire_that_does_not_exist(wire: Wire, rank: int) -> None:
    programs = [list(program) for program in two_ranks(*RIGHT).programs]
    programs[rank].insert(0, Batch((message("a0")._replace(wire=wire),)))
    with pytest.raises(
        InputError, match="a message takes one output of a stage to the rank of the next"
    ):
        Schedule.from_programs("1f1b", LINEAR, 2, programs)


@pytest.mark.parametrize("microbatch", [2, *HUGE], ids=int.bit_length)
def test_a_message_of_no_micro_batch(microbatch: int) -> None:
    lost = Batch((message("a0")._replace(microbatch=microbatch),))
    with pytest.raises(InputError, match=r"a message takes one output of a stage"):
        Schedule.from_programs("1f1b", LINEAR, 2, [[lost], []])


def test_a_message_on_a_third_rank() -> None:
    third = build("gpipe", 3, 2)
    programs = [*third.programs[:2], (*third.programs[2], third.programs[0][1])]
    with pytest.raises(
        InputError, match="a rank sends its own outputs and receives its own inputs"
    ):
        Schedule.from_programs("gpipe", third.placement, 2, programs)


@pytest.mark.parametrize("value", [1, 2, *HUGE], ids=int.bit_length)
@pytest.mark.parametrize("field", ["slot", "microbatch"])
def test_a_chunk_out_of_range(field: str, value: int) -> None:
    chunk = Chunk(0, 0)._replace(**{field: value})
    for wrong in (
        Op(OpKind.F, chunk),
        Op(OpKind.B, None, chunk),
        Op(OpKind.FB, chunk, Chunk(0, 0)),
    ):
        schedule = made_of_numbers(((wrong,), ()), (((), ()), ((),)))
        assert "slots are 0..0 and micro-batches 0..0; got " in first_violation(schedule)


@pytest.mark.parametrize(
    "wrong",
    [
        Op(OpKind.F),
        Op(OpKind.W),
        Op(OpKind.FB),
        Op(OpKind.F, None, Chunk(0, 0)),
        Op(OpKind.F, Chunk(0, 0), Chunk(0, 0)),
        Op(OpKind.I, Chunk(0, 0)),
        Op(OpKind.B, Chunk(0, 0), Chunk(0, 0)),
        Op(OpKind.FB, Chunk(0, 0)),
        Op(OpKind.FB, None, Chunk(0, 0)),
        Op("F", Chunk(0, 0), Chunk(0, 0)),  # type: ignore[arg-type]
        Op("X", None, None),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_an_op_without_the_chunks_of_its_kind(wrong: Op) -> None:
    right = two_ranks("F0 a0 g0 B0", "a0 F0 B0 g0", microbatches=1)
    assert find_violations(right) == ()
    ops = ((*right.ops[0], wrong), right.ops[1])
    schedule = made_of_numbers(ops, ((*right.batches[0], ()), right.batches[1]))
    assert "F has a forward chunk, I, W and B a backward chunk, FB both" in first_violation(
        schedule
    )


@pytest.mark.parametrize("number", [4, 5, 100, *HUGE], ids=int.bit_length)
@pytest.mark.parametrize("place", [0, 1])
def test_a_message_number_that_is_none(number: int, place: int) -> None:
    """A schedule may be given as numbers: of 2 chunks there are messages 0 to 3."""
    right = two_ranks("F0 a0 g0 B0", "a0 F0 B0 g0", microbatches=1)
    batch = tuple((number,) if place == end else () for end in (0, 1))
    batches = ((*right.batches[0][:2], (batch,)), right.batches[1])
    found = find_violations(made_of_numbers(right.ops, batches))
    assert {violation.rule for violation in found} == {Rule.MESSAGES}
    assert "they go from 0 to 3" in found[0].reason


@pytest.mark.parametrize("m", [10**6, 10**12, 10**18])
def test_far_more_micro_batches_than_ops(m: int) -> None:
    """Said at once, without room for every chunk that is missing."""
    for kind in ("1f1b", "dualpipe"):
        placement = build(kind, 2, 2).placement
        schedule = Schedule(kind, placement, m, ((), ()), (((),), ((),)))
        assert "chunks but only 0 ops" in first_violation(schedule)


@pytest.mark.parametrize("m", [0, -1, 1.5, True, None, 10**19, 10**5000], ids=type)
def test_no_such_m(m: int) -> None:
    with pytest.raises(InputError, match="m must be an int of at"):
        made_of_numbers(((), ()), (((),), ((),)), m)
    with pytest.raises(InputError, match="m must be an int of at"):
        Schedule.from_programs("1f1b", LINEAR, m, [(), ()])


def test_both_directions_have_the_same_m() -> None:
    with pytest.raises(InputError, match="nearest legal: m = 8"):
        Schedule.from_programs("dualpipe", Placement.bidirectional(2), 7, [(), ()])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_one_program_a_rank(count: int) -> None:
    with pytest.raises(InputError, match=f"one program a rank; got {count} for 2 ranks"):
        Schedule.from_programs("1f1b", LINEAR, 2, [()] * count)
    with pytest.raises(InputError, match=f"one program a rank; got {count} for 2 ranks"):
        made_of_numbers(((),) * count, (((),),) * count)


@pytest.mark.parametrize("groups", [0, 1, 3])
def test_one_group_of_batches_around_each_op(groups: int) -> None:
    with pytest.raises(
        InputError, match=f"got {groups} groups for 1 ops on rank 1; nearest legal: 2"
    ):
        made_of_numbers(((), (op("F0"),)), (((),), ((),) * groups))


@pytest.mark.parametrize(
    "routes",
    [
        (),
        ((),),
        (((0, 0), (0, 0)),),
        (((0, 0), (2, 0)),),
        (((0, 0), (1, 1)),),
        (((0, 0),), ((0, 0),)),
        (((-1, 0), (0, 0)),),
        (((0, -1), (0, 0)),),
        (((0, 0), (1, 0), (0, 1)), ((1, 1),)),
    ],
)
def test_a_placement_with_gaps(routes: tuple) -> None:
    with pytest.raises(InputError, match=r"a placement gives|both directions"):
        Schedule.from_programs("1f1b", Placement(routes), 2, [(), ()])


def test_empty_batches_say_nothing() -> None:
    programs = [[Batch(()), *program, Batch(())] for program in build("dualpipev", 2, 4).programs]
    schedule = Schedule.from_programs("dualpipev", Placement.v_shape(2), 4, programs)
    assert find_violations(schedule) == ()
