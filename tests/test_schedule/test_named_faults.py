"""One example of each fault: which rule it breaks, where, and what the message says."""

from __future__ import annotations

from collections import Counter

import pytest

from dualpipe_ref.schedule import InputError, Schedule, build
from dualpipe_ref.schedule.verify import find_violations, verify
from dualpipe_ref.schedule.violations import Place, Rule, VerificationError, Violation

from .comparison import sweep
from .samples import all_sizes
from .two_ranks import RIGHT, message, op, two_ranks

A0, A1, G0 = (f"the {message(name)}" for name in ("a0", "a1", "g0"))
COMPLETENESS, ORDER, MESSAGES = Rule.COMPLETENESS, Rule.ORDER, Rule.MESSAGES

# name: (rank 0, rank 1, rule, place as (rank, position, op) or None, reason)
FAULTS = {
    "an op dropped": (
        "F0 a0 F1 a1+g0 B0 g1", RIGHT[1],
        COMPLETENESS, None, "rank 0 never runs I and W of micro-batch 1 in slot 0",
    ),
    "an op doubled": (
        RIGHT[0], "a0 F0 B0 B0 a1+g0 F1 B1 g1",
        COMPLETENESS, (1, 2, "B0"), "I and W of micro-batch 0 in slot 0 runs a second time",
    ),
    "two ops swapped": (
        RIGHT[0], "a0 B0 F0 a1+g0 F1 B1 g1",
        ORDER, (1, 0, "B0"), "F of micro-batch 0 in slot 0 has not run yet",
    ),
    "an op moved before its input": (
        RIGHT[0], "F0 a0 B0 a1+g0 F1 B1 g1",
        MESSAGES, (1, 0, "F0"), f"{A0} is received too late, after the op that needs it",
    ),
    "a receive later": (
        RIGHT[0], "a0 F0 B0 g0 F1 a1 B1 g1",
        MESSAGES, (1, 2, "F1"), f"{A1} is received too late, after the op that needs it",
    ),
    "two receives exchanged": (
        RIGHT[0], "a1 a0 F0 B0 g0 F1 B1 g1",
        Rule.CHANNEL, None, f"channel 0 -> 1: send 0 is {A0}, but receive 0 expects {A1}",
    ),
    "W before its I": (
        RIGHT[0], "a0 F0 W0 I0 a1+g0 F1 B1 g1",
        ORDER, (1, 1, "W0"), "I of micro-batch 0 in slot 0 has not run yet",
    ),
    "W after a full B": (
        RIGHT[0], "a0 F0 B0 W0 a1+g0 F1 B1 g1",
        COMPLETENESS, (1, 2, "W0"), "W of micro-batch 0 in slot 0 runs a second time",
    ),
    "another micro-batch": (
        RIGHT[0], "a0 F0 B0 a1+g0 F1 B0 g1",
        COMPLETENESS, (1, 3, "B0"), "I and W of micro-batch 0 in slot 0 runs a second time",
    ),
    "a send dropped": (
        "F0 F1 a1+g0 B0 g1 B1", RIGHT[1],
        MESSAGES, (0, 4, None), f"{A0} is never sent",
    ),
    "a receive dropped": (
        RIGHT[0], "F0 B0 a1+g0 F1 B1 g1",
        MESSAGES, (1, 0, "F0"), f"{A0} is never received",
    ),
    "a send doubled": (
        "F0 a0 F1 a1+g0 a0 B0 g1 B1", RIGHT[1],
        MESSAGES, (0, 2, "B0"), f"{A0} is sent twice",
    ),
    "a receive doubled": (
        RIGHT[0], "a0 F0 B0 a1+g0 F1 a0 B1 g1",
        MESSAGES, (1, 3, "B1"), f"{A0} is received twice",
    ),
    "a send earlier": (
        "a0 F0 F1 a1+g0 B0 g1 B1", RIGHT[1],
        MESSAGES, (0, 0, "F0"), f"{A0} is sent before it is made",
    ),
    "two batches merged": (
        "F0 a0 F1 a1+g0+g1 B0 B1", "a0 F0 B0 a1+g0+g1 F1 B1",
        MESSAGES, (1, 2, "F1"), "the gradient of micro-batch 1, direction 0, from stage 1"
        " (rank 1 to rank 0) is sent before it is made",
    ),
}  # fmt: skip


def test_the_right_one() -> None:
    assert find_violations(two_ranks(*RIGHT)) == ()
    assert two_ranks(*RIGHT).ops == build("1f1b", 2, 2).ops


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    first, second, rule, place, reason = FAULTS[name]
    found = find_violations(two_ranks(first, second))[0]
    where = place and Place(place[0], place[1], place[2] and op(place[2]))
    assert (found.rule, found.place, found.reason) == (rule, where, reason)
    assert found.waits_for is None
    assert found.cycle == ()
    assert str(found).startswith(f"{rule}: ")
    assert str(found).endswith(reason)


def test_another_slot() -> None:
    schedule = build("zb-v", 2, 2)
    ops = [list(row) for row in schedule.ops]
    place = next(k for k, one in enumerate(ops[0]) if str(one) == "F1.0")
    ops[0][place] = ops[0][place]._replace(forward=ops[0][place].forward._replace(slot=0))
    found = find_violations(
        Schedule("zb-v", schedule.placement, 2, tuple(map(tuple, ops)), schedule.batches)
    )
    assert str(found[0]) == (
        f"completeness: rank 0 at F0.0 (op {place}): F of micro-batch 0 in slot 0 runs a second time"
    )
    assert "rank 0 never runs F of micro-batch 0 in slot 1" in [
        violation.reason for violation in found
    ]


def test_all_that_is_wrong_is_told() -> None:
    found = find_violations(two_ranks("F0 a0 g0 B0", "F0 a0 B0 g0"))
    missing = [
        f"rank {rank} never runs F and I and W of micro-batch 1 in slot 0" for rank in (0, 1)
    ]
    assert [violation.reason for violation in found] == missing


def check_cycle(schedule: Schedule, found: Violation) -> None:
    """Each place waits for something that the next rank does only after its own place."""
    assert found.rule is Rule.DEADLOCK
    assert found.cycle[0] == found.place
    assert found.waits_for is not None
    ring = zip(found.cycle, (*found.cycle[1:], found.cycle[0]), strict=True)
    waits = waits_for_op if "the ops wait" in found.reason else waits_for_batch
    assert all(waits(schedule, one, other) for one, other in ring), found


def waits_for_op(schedule: Schedule, one: Place, other: Place) -> bool:
    """Does the op at `one` need an output that the other rank's ops from `other` on make?"""
    later = schedule.flat_ops[other.rank][other.position :]
    made = {message for _, _, _, _, emits in later for message in emits}
    return any(message in made for message in schedule.flat_ops[one.rank][one.position][3])


def waits_for_batch(schedule: Schedule, one: Place, other: Place) -> bool:
    """Does a message of `one`'s batch, or one that its op needs, stand in a batch from `other` on?"""
    wanted = numbers(schedule.batches[one.rank][one.position])
    if one.op is not None:
        wanted.update(schedule.flat_ops[one.rank][one.position][3])
    later = schedule.batches[other.rank][other.position :]
    return any(number in wanted for group in later for number in numbers(group))


def numbers(group: tuple) -> set[int]:
    return {number for sends, receives in group for number in sends + receives}


# Both ranks send before they receive what the other sends: fine where a send does not block.
SENDS_FIRST = ("F0 a0 F1 a1 g0 B0 g1 B1", "a0 F0 B0 g0 a1 F1 B1 g1")
# Rank 0 has made a1 and keeps it until it has g1, which rank 1 cannot make without it.
SENT_TOO_LATE = ("F0 a0 F1 g0 B0 g1 B1 a1", "a0 F0 B0 g0 a1 F1 B1 g1")
# Rank 1 wants micro-batch 1 first, rank 0 runs it only after the gradient of micro-batch 0.
RING = ("F0 a0 g0 B0 F1 a1 g1 B1", "a0 a1 F1 F0 B0 g0 B1 g1")


def test_deadlock_only_where_sends_block() -> None:
    schedule = two_ranks(*SENDS_FIRST)
    assert find_violations(schedule, rendezvous=False) == ()
    (found,) = find_violations(schedule)
    check_cycle(schedule, found)
    assert found.cycle == (Place(0, 2, op("B0")), Place(1, 2, op("F1")))
    assert found.waits_for == A1
    assert found.reason == "sends that block until received wait in a ring"


@pytest.mark.parametrize("rendezvous", [True, False])
def test_deadlock_of_a_send_that_comes_too_late(rendezvous: bool) -> None:
    schedule = two_ranks(*SENT_TOO_LATE)
    (found,) = find_violations(schedule, rendezvous=rendezvous)
    check_cycle(schedule, found)
    assert found.cycle == (Place(0, 3, op("B1")), Place(1, 2, op("F1")))
    assert found.waits_for == f"the {message('g1')}"
    assert found.reason == "ops and sends wait for each other in a ring"


@pytest.mark.parametrize("rendezvous", [True, False])
def test_deadlock_of_the_ops_themselves(rendezvous: bool) -> None:
    schedule = two_ranks(*RING)
    (found,) = find_violations(schedule, rendezvous=rendezvous)
    check_cycle(schedule, found)
    assert found.cycle == (Place(0, 1, op("B0")), Place(1, 0, op("F1")))
    assert found.waits_for == G0
    assert found.reason == "the ops wait for each other in a ring"
    assert str(found).endswith(
        "; cycle: rank 0 at B0.0 (op 1) -> rank 1 at F0.1 (op 0) -> rank 0 at B0.0 (op 1)"
    )


def test_every_reported_deadlock_is_real() -> None:
    reasons: Counter[str] = Counter()
    for mutant in sweep(all_sizes(range(2, 5), range(2, 9)), range(4000)):
        try:
            schedule = Schedule.from_programs(*schedule_fields(mutant.origin), mutant.programs)
        except InputError:
            continue
        for found in find_violations(schedule):
            if found.rule is Rule.DEADLOCK:
                reasons[found.reason] += 1
                check_cycle(schedule, found)
    assert len(reasons) == 3
    assert min(reasons.values()) >= 5, reasons


def schedule_fields(schedule: Schedule) -> tuple:
    return schedule.kind, schedule.placement, schedule.microbatches


def test_verify_raises_all_of_it() -> None:
    with pytest.raises(VerificationError, match=r"^deadlock: rank 0 at B0\.0") as caught:
        verify(two_ranks(*RING))
    assert caught.value.violations == find_violations(two_ranks(*RING))
    assert verify(two_ranks(*SENDS_FIRST), rendezvous=False) == two_ranks(*SENDS_FIRST)
