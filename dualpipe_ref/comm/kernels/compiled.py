"""From a kernel's source to what a GPU runs: for a launch, or as PTX and machine code to look at, without a GPU.

Numba is imported here when something is compiled, not before.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import tempfile
import threading
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from dualpipe_ref.comm.kernels.machine import bind

# Hopper, without what only sm_90a has: so a launch compiles the same.
TARGET = (9, 0)
INSTALL = "pip install -e '.[kernels]' -c constraints/book.txt"
INSTRUCTION_BYTES = 16  # of Hopper's machine code


class Assembly(NamedTuple):
    """What a kernel takes: `registers` of a thread, bytes of `spills` (stores and loads), `stack` and `shared` memory,
    and `instructions` of machine code, with the padding behind the last."""

    registers: int
    spills: int
    stack: int
    shared: int
    instructions: int


@cache
def jitted(
    kernel: Callable[..., Any],
    *,
    link: ModuleType | None = None,
    element: ModuleType | None = None,
    threads: int,
    linking: bool = False,
) -> Any:
    """The kernel as Numba launches it, `jitted(...)[grid, threads, stream](plan)`; compiled at its first launch.

    It is compiled through PTX, the same that `to_ptx` shows. With `linking` it is compiled as it is linked, which a
    `link` needs that calls a library's device functions. Raises ImportError where Numba is not there.
    """
    cuda = _numba_cuda()
    return cuda.jit(launch_bounds=(threads, 1), lto=linking)(_bound(kernel, link, element))


def to_ptx(
    kernel: Callable[..., Any],
    plan: type,
    *,
    link: ModuleType | None = None,
    element: ModuleType | None = None,
    threads: int,
    registers: int | None = None,
    lines: bool = False,
    target: tuple[int, int] = TARGET,
) -> str:
    """The PTX of a kernel that takes this type of plan, for blocks of `threads` and a `target`; no GPU is needed.

    `registers` holds the assembler to so many for each thread. With `lines` the text says which line of the source
    each instruction comes from. Raises ImportError where Numba is not there.
    """
    cuda = _numba_cuda()
    with _without_driver(target):
        text, _ = cuda.compile(
            _bound(kernel, link, element, lines),
            _void()(numba_type(plan)),
            device=False,
            abi="numba",
            cc=target,
            launch_bounds=(threads, 1),
            lineinfo=lines,
        )
    if registers is not None:
        text = re.sub(r"(\.maxntid.*)", rf"\1\n.maxnreg {registers}", text, count=1)
    return str(text)


def linked(
    kernel: Callable[..., Any],
    plan: type,
    *,
    link: ModuleType,
    element: ModuleType | None = None,
    threads: int,
) -> bytes:
    """The machine code of a kernel whose link calls device functions of a library, linked with them; no GPU is needed.

    Raises ImportError where Numba or nvJitLink is not there, and what nvJitLink raises for functions that nobody has.
    """
    cuda = _numba_cuda()
    from cuda.bindings import nvjitlink

    with _without_driver(TARGET):
        codes, _ = cuda.compile_all(
            _bound(kernel, link, element),
            _void()(numba_type(plan)),
            device=False,
            abi="numba",
            output="ltoir",
            cc=TARGET,
            launch_bounds=(threads, 1),
        )
    handle = nvjitlink.create(2, ["-arch=sm_{}{}".format(*TARGET), "-lto"])
    for place, code in enumerate(codes):
        data = code if isinstance(code, bytes) else code.code
        kind = nvjitlink.InputType.LTOIR
        nvjitlink.add_data(handle, kind, data, len(data), f"part {place}")
    nvjitlink.complete(handle)
    made = bytearray(nvjitlink.get_linked_cubin_size(handle))
    nvjitlink.get_linked_cubin(handle, made)
    nvjitlink.destroy(handle)
    return bytes(made)


def numba_type(plan: type) -> Any:
    """What Numba takes a plan for: a named tuple of int64, in which others may lie.

    >>> from dualpipe_ref.comm.kernels.waiting import Who
    >>> numba_type(Who)
    Who(int64 x 5)
    """
    _numba_cuda()
    from numba import types

    hints = typing.get_type_hints(plan)
    wrong = [name for name, hint in hints.items() if hint is not int and not _is_plan(hint)]
    if not _is_plan(plan) or wrong:
        raise TypeError(f"a plan is a NamedTuple of int; {plan.__name__} has {', '.join(wrong)}")
    kinds = [types.int64 if hint is int else numba_type(hint) for hint in hints.values()]
    return types.BaseTuple.from_types(kinds, plan)


def assembled(ptx: str) -> Assembly:
    """What the assembler makes of a kernel's PTX. Raises ImportError where there is no ptxas, ValueError where it complains."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(ptx)
        architecture = "sm_{}{}".format(*TARGET)
        ran = subprocess.run(
            [ptxas(), "-v", "-arch", architecture, str(source), "-o", str(made)],
            capture_output=True,
            text=True,
        )
        if ran.returncode:
            raise ValueError(f"ptxas refuses this kernel:\n{ran.stdout}{ran.stderr}")
        return Assembly(*_report(ran.stdout + ran.stderr), _code_bytes(made) // INSTRUCTION_BYTES)


def ptxas() -> str:
    """Where the assembler is: in a wheel of this environment, else in an installed CUDA toolkit or on the PATH."""
    try:
        from cuda.pathfinder import find_nvidia_binary_utility
    except ImportError as error:
        raise ImportError(f"the assembler is looked up by cuda-pathfinder: {INSTALL}") from error
    found = find_nvidia_binary_utility("ptxas")
    if found is None:
        raise ImportError(f"there is no ptxas on this machine: {INSTALL}")
    return str(found)


def _is_plan(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields")


def _numba_cuda() -> Any:
    """Numba's CUDA target, as NVIDIA keeps it: the one inside Numba has no tests of its own any more."""
    # Grids here are small on purpose: 20 blocks of 132 SMs.
    os.environ.setdefault("NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS", "0")
    try:
        from numba import cuda
    except ImportError as error:
        raise ImportError(f"compiling kernels needs numba and numba-cuda: {INSTALL}") from error
    if getattr(cuda, "implementation", "") != "NVIDIA":
        raise ImportError(f"compiling kernels needs numba-cuda beside numba: {INSTALL}")
    return cuda


def _void() -> Any:
    from numba import types

    return types.void


def _bound(
    kernel: Callable[..., Any],
    link: ModuleType | None,
    element: ModuleType | None,
    lines: bool = False,
) -> Callable[..., Any]:
    cuda = _numba_cuda()
    from dualpipe_ref.comm.kernels import ptx

    given = {"cuda": cuda, "ptx": ptx, "link": link, "element": element}
    there = {name: module for name, module in given.items() if module is not None}
    return bind(kernel, there, wrap=cuda.jit(device=True, forceinline=True, lineinfo=lines))


class _Device(NamedTuple):
    compute_capability: tuple[int, int]


_patching = threading.RLock()


@contextmanager
def _without_driver(target: tuple[int, int]) -> Iterator[None]:
    """Numba asks the GPU what it can do, even where it is told; here it is told, and no GPU is asked."""
    from numba.cuda import dispatcher

    with _patching:
        asked = dispatcher.get_current_device
        dispatcher.get_current_device = lambda: _Device(target)
        try:
            yield
        finally:
            dispatcher.get_current_device = asked


def _report(said: str) -> tuple[int, int, int, int]:
    """Registers, spills, stack and shared memory out of what `ptxas -v` says of the one kernel."""
    frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill", said)
    used = re.search(r"Used (\d+) registers", said)
    if frame is None or used is None:
        raise ValueError(f"ptxas says what nobody here understands:\n{said}")
    shared = re.search(r"(\d+) bytes smem", said)
    stack, stores, loads = map(int, frame.groups())
    return int(used[1]), stores + loads, stack, int(shared[1]) if shared else 0


def _code_bytes(cubin: Path) -> int:
    """The size of the sections .text.* of an ELF file of 64 bits."""
    data = cubin.read_bytes()
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<3H", data, 58)
    sections = [struct.unpack_from("<IIQQQQ", data, table + size * place) for place in range(count)]
    strings = sections[names][4]
    return sum(
        section[5] for section in sections if data.startswith(b".text.", strings + section[0])
    )
