"""Each operation of kernels/ptx.py, in the PTX of a kernel that does nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dualpipe_ref.comm.kernels.machine import cuda, ptx

from .tiny import instructions, ptx_of

# What a kernel writes, and the one instruction that must come of it.
REGISTER, WIDE, REAL = r"%r\d+", r"%rd\d+", r"%f\d+"
AT = rf"\[{WIDE}\]"
VECTOR = rf"\{{{', '.join([REGISTER] * 4)}\}}"
OPERATIONS = {
    "ld_i32": ("ptx.st_i64(plan.at, ptx.ld_i32(plan.number))", f"ld.global.s32 {WIDE}, {AT};"),
    "st_i32": ("ptx.st_i32(plan.at, plan.number)", f"st.global.b32 {AT}, {REGISTER};"),
    "ld_i64": ("ptx.st_i64(plan.at, ptx.ld_i64(plan.number))", f"ld.global.b64 {WIDE}, {AT};"),
    "st_i64": ("ptx.st_i64(plan.at, plan.number)", f"st.global.b64 {AT}, {WIDE};"),
    "ld_f32": ("ptx.st_f32(plan.at, ptx.ld_f32(plan.number))", f"ld.global.f32 {REAL}, {AT};"),
    "st_f32": ("ptx.st_f32(plan.at, ptx.ld_f32(plan.number))", f"st.global.f32 {AT}, {REAL};"),
    "ld_v4": (
        "ptx.st_v4(plan.at, ptx.ld_v4(plan.number))",
        f"ld.global.L1::no_allocate.v4.s32 {VECTOR}, {AT};",
    ),
    "st_v4": (
        "ptx.st_v4(plan.at, ptx.ld_v4(plan.number))",
        f"st.global.L1::no_allocate.v4.s32 {AT}, {VECTOR};",
    ),
    "ld_v4_constant": (
        "ptx.st_v4(plan.at, ptx.ld_v4_constant(plan.number))",
        f"ld.global.nc.L1::no_allocate.L2::256B.v4.s32 {VECTOR}, {AT};",
    ),
    "atom_cas_sys": (
        "ptx.atom_cas_sys(plan.at, plan.number, 1)",
        f"atom.acq_rel.sys.global.cas.b64 {WIDE}, {AT}, {WIDE}, {WIDE};",
    ),
    "fence_acq_rel_sys": ("ptx.fence_acq_rel_sys()", "fence.acq_rel.sys;"),
    "shared_address": (
        "ptx.st_i64(plan.at, ptx.shared_address(cuda.shared.array(4, np.int64)))",
        f"cvta.shared.u64 {WIDE}, {WIDE};",
    ),
    "f32_of_bits": (
        "ptx.st_f32(plan.at, ptx.f32_of_bits(plan.number))",
        f"mov.b32 {REAL}, {REGISTER};",
    ),
    "bits_of_f32": (
        "ptx.st_i32(plan.at, ptx.bits_of_f32(ptx.ld_f32(plan.number)))",
        f"mov.b32 {REGISTER}, {REAL};",
    ),
    "round_bf16x2": (
        "ptx.st_i32(plan.at, ptx.round_bf16x2(ptx.ld_f32(plan.at), ptx.ld_f32(plan.number)))",
        f"cvt.rn.bf16x2.f32 {REGISTER}, {REAL}, {REAL};",
    ),
    "product_f32": (
        "ptx.st_f32(plan.at, ptx.product_f32(ptx.ld_f32(plan.at), ptx.ld_f32(plan.number)))",
        f"mul.rn.f32 {REAL}, {REAL}, {REAL};",
    ),
    "globaltimer": ("ptx.st_i64(plan.at, ptx.globaltimer())", f"mov.u64 {WIDE}, %globaltimer;"),
    "smid": ("ptx.st_i64(plan.at, ptx.smid())", "mov.u32 sm, %smid;"),
}
# Flags: `sys` in global memory, `cta` in shared memory, which is reached by generic addresses.
for scope, space in (("sys", ".sys.global"), ("cta", ".cta")):
    for order in ("acquire", "relaxed"):
        OPERATIONS[f"ld_{order}_{scope}"] = (
            f"ptx.st_i64(plan.at, ptx.ld_{order}_{scope}(plan.number))",
            f"ld.{order}{space}.b64 {WIDE}, {AT};",
        )
    for order in ("release", "relaxed"):
        OPERATIONS[f"st_{order}_{scope}"] = (
            f"ptx.st_{order}_{scope}(plan.at, plan.number)",
            f"st.{order}{space}.b64 {AT}, {WIDE};",
        )
        OPERATIONS[f"red_add_{order}_{scope}"] = (
            f"ptx.red_add_{order}_{scope}(plan.at, plan.number)",
            f"red.{order}{space}.add.u64 {AT}, {WIDE};",
        )
    OPERATIONS[f"atom_add_acq_rel_{scope}"] = (
        f"ptx.atom_add_acq_rel_{scope}(plan.at, plan.number)",
        f"atom.acq_rel{space}.add.u64 {WIDE}, {AT}, {WIDE};",
    )
del OPERATIONS["red_add_relaxed_cta"]  # no kernel needs it


def kernel_of(line: str) -> Callable[..., Any]:
    names = {"cuda": cuda, "ptx": ptx, "np": np}
    exec(f"def kernel(plan):\n    {line}\n", names)
    return names["kernel"]  # type: ignore[return-value]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_its_instruction(name: str) -> None:
    line, wanted = OPERATIONS[name]
    made = instructions(ptx_of(kernel_of(line)))
    found = [one for one in made if re.fullmatch(wanted, one)]
    assert len(found) == 1, made


def test_every_operation_is_looked_at() -> None:
    from dualpipe_ref.comm.kernels import ptx as module

    made_here = {name for name, value in vars(module).items() if hasattr(value, "_defn")}
    assert made_here == set(OPERATIONS)


def test_the_second_number_is_the_upper_half() -> None:
    """`cvt.rn.bf16x2.f32 d, a, b` puts a in the upper half (PTX ISA, cvt)."""
    line, _ = OPERATIONS["round_bf16x2"]
    made = instructions(ptx_of(kernel_of(line)))
    loads = [one for one in made if one.startswith("ld.global.f32")]
    low, high = (re.search(r"%f\d+", one)[0] for one in loads)  # type: ignore[index]
    assert any(re.fullmatch(rf"cvt.rn.bf16x2.f32 %r\d+, {high}, {low};", one) for one in made)


@pytest.mark.parametrize(
    "line",
    [
        "ptx.st_f32(plan.at, 0.5)",  # float64: would be rounded on the way
        "ptx.ld_i64(0.5)",
        "ptx.st_v4(plan.at, (1, 2, 3))",
        "ptx.st_v4(plan.at, (1, 2, 3, 4))",  # int64
        "ptx.round_bf16x2(1, 2)",
        "ptx.shared_address(plan.at)",
    ],
)
def test_other_types_are_refused(line: str) -> None:
    with pytest.raises(Exception, match="No implementation of function"):
        ptx_of(kernel_of(line))


def test_a_load_in_a_loop_stays_there() -> None:
    """Without `volatile` it would be done once: a wait that never ends."""
    kernel = kernel_of("\n    ".join(["while ptx.ld_relaxed_sys(plan.at) == 0:", "    pass"]))
    text = ptx_of(kernel)
    loop = text[text.index("$L__BB0_1:") :]
    assert "ld.relaxed.sys" in loop[: loop.index("bra")]
