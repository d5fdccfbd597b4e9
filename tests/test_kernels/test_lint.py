"""The lint of kernels: nothing is found in those that are shipped, and each planted fault is."""

from __future__ import annotations

import pytest

from .lint import all_texts, assembly_faults, faults, of_text, sources

HEAD = """
import numpy as np
from dualpipe_ref.comm.kernels.machine import FULL, cuda, device, ptx
from dualpipe_ref.comm.kernels.waiting import wait

"""


def test_the_shipped_kernels_have_no_faults() -> None:
    assert faults(sources()) == []


def test_ptx_stands_in_one_place() -> None:
    assert assembly_faults(all_texts()) == []


def test_the_files_with_kernels_are_found() -> None:
    names = {source.name for source in sources()}
    assert {"kernels/moving.py", "kernels/waiting.py", "transport/copying.py"} <= names
    assert sum(len(source.functions()) for source in sources()) > 50


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("while ptx.ld_acquire_sys(plan.at) < 1:\n  pass", "without a wait"),
        ("while ptx.ld_i64(plan.at) < 1:\n  pass", "without a wait"),
        ("while True:\n  if ptx.ld_relaxed_sys(plan.at):\n   return", "without a wait"),
        ("while ptx.atom_cas_sys(plan.at, 0, 1):\n  pass", "without a wait"),
        ("while not is_there(plan):\n  pass", "without a wait"),
        ("while not asks(plan):\n  pass", "without a wait"),
        ("while at < 4:\n  if is_there(plan):\n   at += 1", "without a wait"),
        ("while at < 4:\n  if is_there(plan):\n   continue\n  at += 1", "without a wait"),
        ("cuda.nanosleep(64)", "only waiting.py naps"),
        ("while cuda.ldcv(plan.at, 0):\n  pass", "cuda.ldcv is no volatile load"),
        ("cuda.threadfence_system()", "cuda.threadfence_system is not in the emulator"),
        ("cuda.atomic.add(plan.at, 0, 1)", "cuda.atomic is not in the emulator"),
        ("cuda.local.array(4, np.int64)", "cuda.local is not in the emulator"),
        ("cuda.barrier(1)", "cuda.barrier is not in the emulator"),
        ("at = np.uint64(plan.at)", "np.uint64: kernels keep"),
        ("lane = cuda.threadIdx.x % 32", "32: a warp has cuda.warpsize lanes"),
        ("lane = cuda.threadIdx.x & 31", "31: a warp has cuda.warpsize lanes"),
        ("cuda.shfl_sync(0xFFFFFFFF, 1, 0)", "a mask is FULL"),
        ("total = 0.0", "0.0 is a float64"),
        ("ptx.ld_v4_constant(plan.at)", "only inputs are constant"),
    ],
)
def test_a_planted_fault_is_named(body: str, words: str) -> None:
    lines = "\n".join(f" {line}" for line in body.splitlines())
    looks = "@device\ndef is_there(plan):\n return ptx.ld_acquire_sys(plan.at) > 0\n"
    asks = "@device\ndef asks(plan):\n return is_there(plan)\n"
    planted = of_text(f"{HEAD}{looks}{asks}def kernel(plan):\n{lines}\n")
    (fault,) = faults([*sources(), planted])[:1]
    assert words in fault
    assert fault.startswith("planted.py:")


@pytest.mark.parametrize(
    "body",
    [
        "while at < plan.size:\n  ptx.st_v4(at, ptx.ld_v4(at))\n  at += 16",
        "while open_ones:\n  if not wait(plan, plan.at, 1, 0, who):\n   return\n  ptx.ld_relaxed_sys(plan.at)",
        "for at in range(4):\n  ptx.ld_acquire_cta(plan.at + 8 * at)",
        "while at < 4:\n  ptx.ld_acquire_cta(plan.at + 8 * at)\n  at += 1",
        "words = ptx.shared_address(cuda.shared.array(4, np.int64))",
    ],
)
def test_what_is_sound_is_not_named(body: str) -> None:
    lines = "\n".join(f" {line}" for line in body.splitlines())
    assert faults([*sources(), of_text(f"{HEAD}def kernel(plan):\n{lines}\n")]) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('x = load("ld.acquire.sys.global.b64 $0, [$1];")', "PTX outside"),
        ('x = register("mov.u64 $0, %globaltimer;")', "PTX outside"),
        ("x = ir.InlineAsm(kind, text, constraints)", "assembly outside"),
        ('x = fence("bar.sync 1, 32;")', "a barrier with a number"),
    ],
)
def test_planted_assembly_is_named(text: str, words: str) -> None:
    assert words in " ".join(assembly_faults({"kernels/planted.py": text}))
