"""From source to PTX and machine code, without a GPU."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, NamedTuple

import pytest

from dualpipe_ref.comm.kernels import bfloat16, compiled, float32
from dualpipe_ref.comm.kernels.compiled import assembled, jitted, numba_type, to_ptx
from dualpipe_ref.comm.kernels.machine import element, link, ptx
from dualpipe_ref.comm.kernels.waiting import Who

from .planted import many_values
from .tiny import Plan, ptx_of


def sums(plan: Any) -> None:
    total = element.zero()
    at = plan.at
    while at < plan.at + plan.number:
        total = element.add(total, ptx.ld_v4(at))
        at += 16
    ptx.st_v4(plan.at, element.rounded(total))


class Inner(NamedTuple):
    first: int
    second: int


class Outer(NamedTuple):
    inner: Inner
    at: int


def test_a_plan_is_the_type_that_a_launch_finds() -> None:
    """Else a launch would compile another kernel than the one that was looked at."""
    launched = jitted(sums, element=float32, threads=32)
    for plan in (Plan(1, 2, 3, 4, 5), Who(0, 0, 2**40, -1, 0), Outer(Inner(1, 2), 2**62)):
        assert numba_type(type(plan)) == launched.typeof_pyval(plan)


class Wrong(NamedTuple):
    at: int
    weight: float


@pytest.mark.parametrize("plan", [Wrong, int])
def test_what_is_no_plan_is_named(plan: type) -> None:
    with pytest.raises(TypeError, match=f"a plan is a NamedTuple of int; {plan.__name__}"):
        numba_type(plan)


def test_nested_plans_reach_a_kernel() -> None:
    def kernel(plan: Any) -> None:
        ptx.st_i64(plan.at, plan.inner.second)

    text = to_ptx(kernel, Outer, threads=32)
    assert text.count(".param .u64") == 3
    # Words of the inner plan come where it stands: the second of them, then the outer's address.
    assert [f"param_{place}];" in text.split("ld.param.u64")[1] for place in range(3)] == [
        False,
        True,
        False,
    ]
    assert "param_2];" in text.split("ld.param.u64")[2]


@pytest.mark.parametrize("numbers", [bfloat16, float32])
def test_all_that_a_kernel_calls_is_in_it(numbers: Any) -> None:
    text = ptx_of(sums, element=numbers)
    assert text.count(".entry") == 1
    assert "call" not in text
    assert ".func" not in text
    assert ".target sm_90\n" in text


def test_blocks_have_as_many_threads_as_said() -> None:
    assert ".maxntid 96, 1, 1" in ptx_of(sums, element=float32, threads=96)


def test_the_driver_is_asked_again_afterwards() -> None:
    from numba.cuda import dispatcher

    asked = dispatcher.get_current_device
    ptx_of(sums, element=float32)
    assert dispatcher.get_current_device is asked

    def broken(plan: Any) -> None:
        ptx.st_i64("nowhere", plan.at)

    with pytest.raises(Exception, match="No implementation"):
        ptx_of(broken)
    assert dispatcher.get_current_device is asked


def test_what_a_kernel_takes() -> None:
    taken = assembled(ptx_of(sums, element=bfloat16))
    assert 8 <= taken.registers <= 64
    assert taken.spills == taken.stack == taken.shared == 0
    assert taken.instructions >= len(ptx_of(sums, element=float32).split("add.f32"))


def test_too_few_registers_spill() -> None:
    assert assembled(ptx_of(many_values)).spills == 0
    assert assembled(ptx_of(many_values, registers=24)).spills > 0


def test_what_the_assembler_refuses_is_shown() -> None:
    with pytest.raises(ValueError, match=r"ptxas refuses this kernel:\n.*nonsense"):
        assembled(ptx_of(sums, element=float32).replace("ret;", "nonsense;"))


def test_a_machine_without_an_assembler_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cuda.pathfinder.find_nvidia_binary_utility", lambda name: None)
    with pytest.raises(ImportError, match=r"no ptxas on this machine: pip install"):
        compiled.ptxas()


def test_a_machine_without_numba_cuda_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("numba.cuda.implementation", "Built-in")
    with pytest.raises(ImportError, match=r"numba-cuda beside numba: pip install"):
        ptx_of(sums, element=float32)


def test_a_name_that_nobody_gave_is_named() -> None:
    def kernel(plan: Any) -> None:
        link.add(plan, 0, 1, 0, 0, 7)

    with pytest.raises(Exception, match="link"):
        ptx_of(kernel)


def test_nothing_imports_numba_before_something_is_compiled() -> None:
    code = (
        "import sys, pkgutil, importlib\n"
        "import dualpipe_ref.comm.kernels as kernels, dualpipe_ref.comm.transport as transport\n"
        "for folder in (kernels, transport):\n"
        "    for module in pkgutil.walk_packages(folder.__path__, folder.__name__ + '.'):\n"
        "        if module.name.rpartition('.')[2] not in ('ptx', 'assembly', 'nvshmem_link'):\n"
        "            importlib.import_module(module.name)\n"
        "assert not {'numba', 'llvmlite', 'nvshmem'} & set(sys.modules), 'imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
