"""Each rule finds the fault that was planted for it, and nothing in kernels that keep them all."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dualpipe_ref.comm.kernels import bfloat16
from dualpipe_ref.comm.kernels.compiled import Assembly, assembled
from dualpipe_ref.comm.kernels.machine import cuda, element, ptx
from dualpipe_ref.comm.kernels.moving import copy, lane
from dualpipe_ref.comm.kernels.waiting import TAIL, Who, all_lanes, wait, wait_in_block

from .planted import FAULTS, many_values
from .reading import Kernel
from .rules import assembly_faults, faults
from .tiny import ptx_of


@pytest.mark.parametrize(("kernel", "words"), FAULTS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_planted_fault_is_named(kernel: Callable[..., Any], words: str) -> None:
    found = "\n".join(faults(ptx_of(kernel, lines=True)))
    assert words in re.sub(r", line \d+", "", found)


def waits(plan):
    words = ptx.shared_address(cuda.shared.array(2, np.int64))
    if cuda.threadIdx.x < 2:
        ptx.st_relaxed_cta(words + 8 * cuda.threadIdx.x, 0)
    cuda.syncthreads()
    for place in range(plan.number):
        went_well = True
        if lane() == 0:
            went_well = wait(plan, plan.at + 8 * place, 1, 0, Who(0, 0, 0, 0, TAIL))
            went_well = went_well and wait_in_block(plan, words, place, 0, Who(0, 0, 0, 0, TAIL))
        if not all_lanes(went_well):
            return
        copy(plan.heaps, plan.at, plan.number)
        cuda.syncwarp()
        if lane() == 0:
            ptx.st_release_sys(plan.at + 8 * place, 1)


def sums(plan):
    total = element.zero()
    for place in range(plan.number):
        total = element.add(total, ptx.ld_v4(plan.at + 16 * place))
    ptx.st_v4(plan.heaps, element.rounded(total))


@pytest.mark.parametrize("kernel", [waits, sums, many_values], ids=lambda one: one.__name__)
def test_a_sound_kernel_has_no_faults(kernel: Callable[..., Any]) -> None:
    text = ptx_of(kernel, lines=True, element=bfloat16)
    assert faults(text) == []
    assert list(assembly_faults(assembled(text), 32)) == []


def test_spills_are_named() -> None:
    taken = assembled(ptx_of(many_values, registers=24))
    assert any("bytes of spills" in fault for fault in assembly_faults(taken, 32))


@pytest.mark.parametrize(
    ("registers", "threads", "is_sound"),
    [
        (64, 1024, True),
        (65, 1024, False),
        (128, 512, True),
        (129, 512, False),
        (255, 256, True),
        (72, 800, True),
        (73, 800, False),
    ],
)
def test_a_block_finds_its_registers(registers: int, threads: int, is_sound: bool) -> None:
    taken = Assembly(registers, spills=0, stack=0, shared=0, instructions=100)
    assert (list(assembly_faults(taken, threads)) == []) == is_sound


def test_the_blocks_of_a_kernel_are_read() -> None:
    """A diamond, a loop, and an instruction in braces."""
    text = """
.visible .entry k(.param .u64 p)
.maxntid 32, 1, 1
{
	.reg .b64 %rd<9>;
	ld.param.u64 %rd1, [p];
	@%p1 bra $L__BB0_2;
	mov.u64 %rd2, 1; // one
	bra.uni $L__BB0_3;
$L__BB0_2:
	{ .reg .u32 sm; mov.u32 sm, %smid; cvt.u64.u32 %rd2, sm; }
$L__BB0_3:
	ld.acquire.sys.global.b64 %rd3, [%rd1+8];
	setp.lt.s64 %p2, %rd3, %rd2;
	@!%p2 bra $L__BB0_3;
	ret;
}
"""
    kernel = Kernel(text)
    codes = [[one.code for one in block.instructions] for block in kernel.blocks]
    assert codes[0] == ["ld.param.u64", "bra"]
    assert ["mov.u32", "cvt.u64.u32"] in codes
    (cycle,) = kernel.cycles()
    (number,) = cycle
    loop = kernel.blocks[number]
    assert [one.code for one in loop.instructions] == [
        "ld.acquire.sys.global.b64",
        "setp.lt.s64",
        "bra",
    ]
    assert loop.instructions[0].address() == ("%rd1",)
    assert loop.instructions[1].written == ("%p2",)
    assert loop.instructions[2].read == ("%p2",)
    assert len(loop.following) == 2
    reached = {one.code for one in kernel.writers(["%rd2"])}
    assert reached == {"mov.u64", "cvt.u64.u32"}
