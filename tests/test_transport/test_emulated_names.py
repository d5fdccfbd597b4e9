"""The emulator's twin of `kernels/ptx.py` has its names and its parameters, and its `cuda` those that kernels may use."""

from __future__ import annotations

import inspect
import re

import pytest

from dualpipe_ref.comm.kernels import machine
from dualpipe_ref.comm.transport import copying
from dualpipe_ref.comm.transport.emulated.cuda import Cuda
from dualpipe_ref.comm.transport.emulated.ptx import Ptx
from dualpipe_ref.comm.transport.emulated.rdma import Rdma


def methods(twin):
    """Each public method's parameters, but for `self`."""
    return {
        name: [*inspect.signature(value).parameters][1:]
        for name, value in vars(twin).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def test_the_twin_has_exactly_the_instructions_of_ptx():
    pytest.importorskip("numba.cuda", reason="kernels/ptx.py is made of Numba's intrinsics")
    from dualpipe_ref.comm.kernels import ptx
    from dualpipe_ref.comm.kernels.machine import cuda  # noqa: F401

    intrinsic = type(ptx.ld_i32)
    there = {
        name: [*inspect.signature(value._defn).parameters][1:]
        for name, value in vars(ptx).items()
        if isinstance(value, intrinsic)
    }
    assert methods(Ptx) == there


def test_cuda_has_what_kernels_may_use():
    text = inspect.getsource(machine)
    listed = re.search(r"# Numba's `cuda`:([^)]*)\)", text).group(1)
    names = set(re.findall(r"[A-Za-z_]+", listed.partition(".\n")[0].partition(". (")[0]))
    names = {name for name in names if name not in {"x", "array"}}
    has = {name for name in vars(Cuda) if not name.startswith("_")} | {"warpsize", "shared"}
    assert names <= has
    assert has - names <= {"popc"}


def test_the_network_is_called_as_the_copying_link_is():
    there = {
        name: [*inspect.signature(value).parameters]
        for name, value in vars(copying).items()
        if getattr(value, "__is_device__", False) and value.__module__ == copying.__name__
    }
    has = methods(Rdma)
    assert {name: has[name] for name in there} == there
