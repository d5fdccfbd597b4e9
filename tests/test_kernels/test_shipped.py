"""All kernels of the package, compiled for Hopper: every rule, and nothing that is launched left out."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import FunctionType
from typing import Any

import pytest

from dualpipe_ref.comm import kernels
from dualpipe_ref.comm.kernels.compiled import Assembly, assembled
from dualpipe_ref.comm.kernels.registry import KERNELS, Case, cases

from .reading import Kernel
from .rules import PTX_RULES, WORDS, assembly_faults, copy_faults, word_movers

CASES = {case.name: case for case in cases()}
by_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


@cache
def read(case: Case, lines: bool = False) -> Kernel:
    return Kernel(text(case, lines))


@cache
def text(case: Case, lines: bool = False) -> str:
    return case.ptx(lines)


@cache
def taken(case: Case) -> Assembly:
    return assembled(text(case))


@by_case
@pytest.mark.parametrize("rule", PTX_RULES, ids=lambda rule: rule.__name__)
def test_the_ptx_keeps_the_rules(case: Case, rule: Callable[..., Any]) -> None:
    """That which is launched, but where a rule asks which function an instruction comes from."""
    assert list(rule(read(case, lines=rule is copy_faults))) == []


@by_case
def test_it_is_assembled_without_spills_and_finds_its_registers(case: Case) -> None:
    assert list(assembly_faults(taken(case), case.shipped.threads)) == []


@by_case
def test_it_has_flags(case: Case) -> None:
    """A reader that sees nothing would find no faults either."""
    if case.shipped.waits:
        codes = {one.code for one in read(case).instructions()}
        assert "ld.acquire.sys.global.b64" in codes
        assert codes & {"st.release.sys.global.b64", "red.release.sys.global.add.u64"}
        assert "mov.u64" in codes


@by_case
def test_it_can_write_down_where_it_ran(case: Case) -> None:
    """All but the yardstick, whose threads have no register to spare."""
    has = "records" in case.shipped.plan._fields
    assert has == (case.shipped.name != "plain copy")
    places = [one for one in read(case).instructions() if "%smid" in one.operands]
    assert len(places) == int(has)


def test_every_kernel_of_the_package_is_listed() -> None:
    """A kernel is a function of a plan alone that no kernel calls."""
    found = set()
    for module in pkgutil.iter_modules(kernels.__path__):
        if module.name not in ("ptx", "assembly"):
            named = import_module(f"{kernels.__name__}.{module.name}")
            found |= {value for value in vars(named).values() if _is_kernel(value, named.__name__)}
    assert found == {shipped.kernel for shipped in KERNELS}


def _is_kernel(value: object, module: str) -> bool:
    return (
        isinstance(value, FunctionType)
        and value.__module__ == module
        and not getattr(value, "__is_device__", False)
        and list(inspect.signature(value).parameters) == ["plan"]
        and not value.__annotations__
    )


def test_no_function_is_excused_that_needs_no_excuse() -> None:
    moving = {name for case in CASES.values() for name in word_movers(read(case, lines=True))}
    assert set(WORDS) <= moving
