"""The table of what kernels take: its rows, and what misses a target."""

from __future__ import annotations

import pytest

from dualpipe_ref.bench.kernels import LANES, registers_for, rows_of
from dualpipe_ref.bench.results import meets
from dualpipe_ref.comm.kernels.compiled import Assembly
from dualpipe_ref.comm.kernels.registry import cases

CASE = next(case for case in cases() if case.name == "direct combine, bfloat16")


def test_a_kernel_has_its_rows() -> None:
    rows = list(rows_of(CASE, Assembly(126, spills=0, stack=0, shared=16384, instructions=800)))
    assert [(row.bench, row.value, row.target) for row in rows] == [
        ("kernels.direct_combine_bfloat16.threads", CASE.shipped.threads, None),
        ("kernels.direct_combine_bfloat16.registers", 126, "<= 128"),
        ("kernels.direct_combine_bfloat16.spills", 0, "<= 0"),
        ("kernels.direct_combine_bfloat16.shared", 16, None),
        ("kernels.direct_combine_bfloat16.instructions", 800, None),
    ]
    assert all(meets(row.value, row.target) for row in rows)


def test_spills_and_too_many_registers_miss_their_targets() -> None:
    rows = rows_of(CASE, Assembly(129, spills=8, stack=8, shared=0, instructions=1))
    assert [row.bench.rpartition(".")[2] for row in rows if not meets(row.value, row.target)] == [
        "registers",
        "spills",
    ]


@pytest.mark.parametrize("warps", range(1, 33))
def test_a_block_with_so_many_registers_fits_and_with_more_does_not(warps: int) -> None:
    """Counted out: each warp goes to the part of the SM that has fewest."""
    most = registers_for(warps * LANES)
    assert _fits(warps, most)
    if most < 255:  # of which an instruction can name no more
        assert not _fits(warps, most + 8)


def _fits(warps: int, registers: int) -> bool:
    parts = [0] * 4
    for _ in range(warps):
        parts[parts.index(min(parts))] += -(-registers // 8) * 8 * LANES
    return max(parts) <= 16_384
