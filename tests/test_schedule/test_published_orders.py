"""Every published order, op for op: the released lists, torch's own, and the table of the eight steps."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from dualpipe_ref.schedule import InputError, Op, Schedule, build
from dualpipe_ref.schedule.formats import load
from dualpipe_ref.schedule.verify import find_violations

from . import eight_steps
from .samples import Size, sizes
from .torch_orders import torch_order

GOLDEN = Path(__file__).parents[1] / "golden"
LISTS = sorted(path.name for path in GOLDEN.glob("*.json"))


def test_the_released_lists_are_here() -> None:
    assert {"dualpipe_P4_m8.json", "dualpipe_P8_m20.json", "dualpipev_P4_m10.json"} <= set(LISTS)


@pytest.mark.parametrize("name", LISTS)
def test_released_code(name: str) -> None:
    released = load(GOLDEN / name).schedule
    assert build(released.kind, released.ranks, released.microbatches).ops == released.ops


@pytest.mark.parametrize("chunks", [2, 3, 4])
def test_interleaved_equals_torch(chunks: int) -> None:
    accepted = 0
    for ranks, m in product((2, 3, 4, 5, 8), range(1, 25)):
        if m % max(1, m // ranks) == 0:
            expected = torch_order("ScheduleInterleaved1F1B", ranks, m, chunks)
            assert build("interleaved", ranks, m, chunks).ops == expected, (ranks, m)
            accepted += 1
    assert accepted > 60


@pytest.mark.parametrize("ranks", [2, 3, 4, 5, 8])
def test_zb_v_equals_torch(ranks: int) -> None:
    for m in (1, 2, 3, ranks, 2 * ranks - 2, 2 * ranks - 1, 2 * ranks, 2 * ranks + 1, 4 * ranks):
        assert build("zb-v", ranks, m).ops == torch_order("ScheduleZBVZeroBubble", ranks, m, 2), m


@pytest.mark.parametrize("ranks", range(2, 13))
def test_dualpipev_equals_torch(ranks: int) -> None:
    for m in (2 * ranks, 2 * ranks + 1, 2 * ranks + 2, 3 * ranks, 4 * ranks + 3, 6 * ranks):
        assert build("dualpipev", ranks, m).ops == torch_order("ScheduleDualPipeV", ranks, m, 2), m


def mirrored(ops: tuple[Op, ...]) -> tuple[Op, ...]:
    """The ops with both directions exchanged."""

    def other(chunk):
        return chunk and chunk._replace(slot=1 - chunk.slot)

    return tuple(Op(kind, other(forward), other(backward)) for kind, forward, backward in ops)


def check_cut_in_half(ranks: int, m: int) -> None:
    """DualPipe is DualPipeV of half the ranks, and its mirror image."""
    whole, half = build("dualpipe", ranks, m), build("dualpipev", ranks // 2, m // 2)
    assert whole.ops[: ranks // 2] == half.ops, (ranks, m)
    assert whole.ops[::-1][: ranks // 2] == tuple(map(mirrored, half.ops)), (ranks, m)


def test_every_dualpipe_is_a_dualpipev_and_its_mirror() -> None:
    for ranks in range(4, 25, 2):
        for m in range(2 * ranks - 2, 4 * ranks + 1, 2):
            check_cut_in_half(ranks, m)


@pytest.mark.slow
def test_every_dualpipe_is_a_dualpipev_and_its_mirror_also_when_large() -> None:
    for ranks in range(26, 65, 2):
        for m in (2 * ranks - 2, 2 * ranks, 2 * ranks + 2, 3 * ranks, 8 * ranks):
            check_cut_in_half(ranks, m)


def expected_ops(schedule: Schedule) -> list[list[str]]:
    """From the table of the eight steps."""
    ranks, m = schedule.ranks, schedule.microbatches
    if schedule.kind == "dualpipev":
        return [eight_steps.ops(rank, ranks, m, near=0) for rank in range(ranks)]
    return [
        eight_steps.ops(
            min(rank, ranks - 1 - rank), ranks // 2, m // 2, near=int(rank >= ranks // 2)
        )
        for rank in range(ranks)
    ]


@pytest.mark.parametrize(
    "size",
    sizes("dualpipe", range(2, 17, 2), range(2, 67))
    + sizes("dualpipev", range(2, 13), range(3, 50)),
    ids=lambda size: "-".join(map(str, size[:3])),
)
def test_the_table_of_the_eight_steps(size: Size) -> None:
    """Every (P, m) from the lowest that works, one step below what the released code accepts."""
    schedule = build(*size)
    assert [list(map(str, ops)) for ops in schedule.ops] == expected_ops(schedule)


@pytest.mark.parametrize(("kind", "by"), [("dualpipe", 2), ("dualpipev", 1)])
@pytest.mark.parametrize("ranks", [2, 4, 6, 8, 12])
def test_the_lowest_m(kind: str, by: int, ranks: int) -> None:
    lowest = 2 * ranks - by
    schedule = build(kind, ranks, lowest)
    assert find_violations(schedule) == ()
    half = ranks // 2 if kind == "dualpipe" else ranks
    for rank, ops in enumerate(schedule.ops):
        h = min(rank, ranks - 1 - rank) if kind == "dualpipe" else rank
        assert Counter(op.kind for op in ops) == counts(h, half, n=2 * half - 1), rank
    with pytest.raises(InputError, match=rf"nearest legal: m = {lowest}$"):
        build(kind, ranks, lowest - by)


def counts(h: int, half: int, n: int) -> dict[str, int]:
    """Ops of each kind on a rank, added up from the eight steps by hand for n = 2H - 1."""
    assert n == 2 * half - 1
    to_middle = half - h - 1
    # With n = 2H - 1 step 4 has h rounds; on the middle ranks the first pair of them is not overlapped.
    apart = 1 if to_middle == 0 and h > 0 else 0
    expected = {
        "F": 3 * to_middle + 2 * (h + 1) + apart,
        "I": to_middle + (h + 1) + to_middle,
        "W": to_middle + to_middle + (h + 1),
        "B": to_middle + (h + 1) + apart,
        "FB": 2 * h + to_middle - apart,
    }
    return {kind: count for kind, count in expected.items() if count}


def test_the_refusal_names_the_rule_and_the_values() -> None:
    text = "DualPipe needs m even and at least 2P - 2; got P = 8, m = 12; nearest legal: m = 14"
    with pytest.raises(InputError, match=re.escape(text)):
        build("dualpipe", 8, 12)
