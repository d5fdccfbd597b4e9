"""What the transports on GPUs share: whether this machine has what they need, and the launch of a kernel.

A kernel is launched as the very PTX that `compiled.to_ptx` gives and the tests read; a plan is int64 words, one after
another, which are its parameters.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from dualpipe_ref.comm.kernels import compiled
from dualpipe_ref.comm.kernels.message import VECTOR
from dualpipe_ref.schedule.errors import InputError

LANES = 32
INSTALL = "pip install -e '.[gpu,train]' -c constraints/gpu.txt"
# Scopes, 128-bit accesses past the L1 and the rounding to bfloat16 came with it.
OLDEST = (8, 0)


class Lacking(InputError):  # noqa: N818 - what the machine is, no mistake of the caller
    """This machine, or that of another process, lacks what kernels need."""


def require_gpu() -> None:
    """Raises `Lacking`, which says what is missing, where kernels cannot run."""
    if torch.version.cuda is None:
        raise Lacking(
            "kernels run on an NVIDIA GPU; without one, in the emulator",
            f"torch {torch.__version__}, which was built without CUDA",
            f"a torch built for CUDA ({INSTALL}), or transport.emulated.Emulated",
        )
    if not torch.cuda.is_available():
        raise Lacking(
            "kernels run on an NVIDIA GPU; without one, in the emulator",
            "no driver, or no GPU, that torch can use",
            "a machine with a GPU and driver 580 or newer, or transport.emulated.Emulated",
        )
    capability = torch.cuda.get_device_capability()
    if capability < OLDEST:
        raise Lacking(
            "kernels need an NVIDIA GPU of compute capability 8.0 (Ampere) or newer",
            ".".join(map(str, capability)),
            "9.0 (Hopper), for the book's numbers",
        )
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.core") is None:
        raise Lacking("kernels are launched by cuda-core", "it is not installed", INSTALL)


def visible() -> tuple[str, ...]:
    """The GPUs that this process sees, by their own names, in its order."""
    devices = range(torch.cuda.device_count())
    return tuple(str(torch.cuda.get_device_properties(one).uuid) for one in devices)


def check_blocks(blocks: int, ranks: int, sms: int) -> None:
    """Raises `InputError` unless all blocks find an SM at once, since they wait for one another.

    >>> check_blocks(blocks=20, ranks=8, sms=132)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: all blocks run at once, one on an SM; got 8 ranks x 20 blocks = 160 on 132
    SMs; nearest legal: 8 ranks x 16 blocks = 128
    """
    if ranks * blocks > sms:
        most = sms // ranks
        nearest = f"{ranks} ranks x {most} blocks = {ranks * most}" if most else f"{sms} ranks"
        raise InputError(
            "all blocks run at once, one on an SM",
            f"{ranks} ranks x {blocks} blocks = {ranks * blocks} on {sms} SMs",
            nearest,
        )


def check_plan(plan: Any, blocks: int, threads: int, first_rank: int) -> None:
    """Raises `InputError` where a plan and its launch do not fit together."""
    if (plan.blocks, plan.first_rank) != (blocks, first_rank):
        raise InputError(
            "a plan tells the blocks of a rank and the first rank of the launch",
            f"blocks = {plan.blocks}, first_rank = {plan.first_rank}",
            f"blocks = {blocks}, first_rank = {first_rank}",
        )
    if threads % LANES or not 0 < threads <= 1024:
        nearest = min(1024, max(LANES, threads + -threads % LANES))
        raise InputError(
            "a block has whole warps, up to 1024 threads",
            f"threads = {threads}",
            f"threads = {nearest}",
        )


def check_tensors(tensors: Sequence[Tensor], device: torch.device) -> None:
    """Raises `InputError` for a tensor that kernels cannot reach by its address."""
    for place, tensor in enumerate(tensors):
        if tensor.device != device:
            raise InputError(
                "kernels reach what lies on their GPU",
                f"tensor {place} on {tensor.device}",
                f"{device}",
            )


def words_of(plan: Any) -> Iterator[int]:
    """The int64 words of a plan and of those in it: a kernel's parameters.

    >>> from dualpipe_ref.comm.kernels.waiting import Who
    >>> list(words_of((7, Who(1, 2, 3, 4, 0))))
    [7, 1, 2, 3, 4, 0]
    """
    for value in plan:
        if isinstance(value, tuple):
            yield from words_of(value)
        else:
            yield int(value)


@cache
def own_stream(device: torch.device) -> torch.cuda.Stream:
    """A stream for launches that were given none: not the default one, which waits for others and they for it."""
    return torch.cuda.Stream(device)


def launch(
    kernel: Callable[..., Any],
    plan: Any,
    *,
    grid: int,
    threads: int,
    link: ModuleType,
    element: ModuleType | None,
    stream: torch.cuda.Stream,
    together: bool = True,
    owns_sm: bool = False,
) -> None:
    """Start `grid` blocks of `kernel(plan)` on a stream; the driver refuses a grid whose blocks cannot all run at once.

    Not `together`, blocks may run one after another: for kernels that do not wait. A block that `owns_sm` takes all the
    shared memory that it may have, so that no other block finds room beside it (on GPUs where that is all there is).
    """
    from cuda.core import Device, LaunchConfig
    from cuda.core import launch as start

    Device(stream.device.index).set_current()
    capability = torch.cuda.get_device_capability(stream.device)
    kind: Any = type(plan)
    loaded = _loaded(kernel, kind, threads, link, element, capability)
    shared = _all_shared_memory(loaded, stream.device.index) if owns_sm else 0
    config = LaunchConfig(grid=grid, block=threads, shmem_size=shared, is_cooperative=together)
    start(stream, config, loaded, *map(ctypes.c_int64, words_of(plan)))


def launch_and_wait(
    kernel: Callable[..., Any],
    plan: Any,
    *,
    grid: int,
    threads: int,
    link: ModuleType,
    element: ModuleType | None,
    device: torch.device,
    stream: torch.cuda.Stream | None,
) -> None:
    """`launch` after all that the caller's stream was given, on `stream` or else on one of its own, until it has ended."""
    with torch.cuda.device(device):
        chosen = stream or own_stream(device)
        chosen.wait_stream(torch.cuda.current_stream())
        launch(kernel, plan, grid=grid, threads=threads, link=link, element=element, stream=chosen)
        chosen.synchronize()


@cache
def _all_shared_memory(loaded: Any, device: int) -> int:
    """Bytes of dynamic shared memory that a block of this kernel can have at most; the driver is told that it will."""
    from cuda.bindings import driver

    def asked(answer: Any) -> Any:
        if int(answer[0]):
            raise RuntimeError(
                f"the driver refuses a block all of its SM's shared memory: {answer[0].name}"
            )
        return answer[1] if len(answer) > 1 else None

    of_device, of_kernel = driver.CUdevice_attribute, driver.CUfunction_attribute
    most = of_device.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
    static = of_kernel.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES
    dynamic = of_kernel.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    kernel = driver.CUkernel(int(loaded.handle))
    left = int(asked(driver.cuDeviceGetAttribute(most, device)))
    left -= int(asked(driver.cuKernelGetAttribute(static, kernel, device)))
    asked(driver.cuKernelSetAttribute(dynamic, left, kernel, device))
    return left


@cache
def _loaded(
    kernel: Callable[..., Any],
    plan: type,
    threads: int,
    link: ModuleType,
    element: ModuleType | None,
    capability: tuple[int, int],
) -> Any:
    from cuda.core import ObjectCode

    text = compiled.to_ptx(
        kernel, plan, link=link, element=element, threads=threads, target=capability
    )
    return ObjectCode.from_ptx(text.encode()).get_kernel(entry_of(text))


def entry_of(ptx: str) -> str:
    """The name of the one kernel in a PTX text."""
    (name,) = re.findall(r"\.entry\s+(\w+)", ptx)
    return str(name)


def new_heap(size: int, device: torch.device) -> Tensor:
    """[size] uint8, zeroed; CUDA's allocator begins at multiples of 512."""
    heap = torch.zeros(size, dtype=torch.uint8, device=device)
    check_start(heap)
    return heap


def check_start(heap: Tensor) -> None:
    """Raises `RuntimeError` where an allocator gave memory for which 128-bit copies are not."""
    if heap.data_ptr() % VECTOR:
        raise RuntimeError(f"a heap begins at a multiple of {VECTOR} bytes")
