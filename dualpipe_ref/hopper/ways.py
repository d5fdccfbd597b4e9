"""The ways to keep SMs for communication, and which of them a GPU has."""

from __future__ import annotations

from typing import NamedTuple

from dualpipe_ref.hopper.driver import GREEN_CONTEXTS_SINCE, Gpu
from dualpipe_ref.schedule.errors import InputError

GREEN, OWNED, PLAIN = "green contexts", "owned shared memory", "plain streams"
# The most threads of a block, on every GPU.
MOST_THREADS = 1024


class Way(NamedTuple):
    """One way: whether this GPU has it, what was found, and what would have it."""

    name: str
    ready: bool
    found: str
    how: str = ""


def ways(gpu: Gpu) -> list[Way]:
    """Every way on this GPU, the strictest first.

    >>> from dualpipe_ref.hopper.emulated_driver import H100, T4
    >>> [(way.name, way.ready) for way in ways(H100)]
    [('green contexts', True), ('owned shared memory', True), ('plain streams', True)]
    >>> print(ways(T4)[1].found)
    a block may take 64 of an SM's 64 KiB, and one without shared memory still fits beside it
    """
    return [_green(gpu), _owned(gpu), Way(PLAIN, True, "two streams; nothing is reserved")]


def require_way(gpu: Gpu, name: str) -> None:
    """Raises `InputError`, which says what is missing and what is there instead, where this GPU lacks a way."""
    there = {way.name: way for way in ways(gpu)}
    if name not in there:
        raise InputError("SMs are reserved in one of the ways", repr(name), " or ".join(there))
    way = there[name]
    if not way.ready:
        nearest = next(other.name for other in ways(gpu) if other.ready)
        raise InputError(f"{name} need {way.how}", f"{gpu.name}: {way.found}", nearest)


def _green(gpu: Gpu) -> Way:
    has = gpu.driver >= GREEN_CONTEXTS_SINCE
    return Way(GREEN, has, f"a driver for CUDA {gpu.cuda}", "a driver for CUDA 12.4 or newer")


def _owned(gpu: Gpu) -> Way:
    most, all_of_it = gpu.shared_per_block // 1024, gpu.shared_per_sm // 1024
    found = f"a block may take {most} of an SM's {all_of_it} KiB"
    if owns_by_shared_memory(gpu):
        return Way(OWNED, True, f"{found}, and nothing fits beside it")
    found += ", and one without shared memory still fits beside it"
    return Way(OWNED, False, found, "an SM that one block can fill, such as Hopper's or Ampere's")


def owns_by_shared_memory(gpu: Gpu) -> bool:
    """Whether a block that takes all the shared memory it may have leaves too little for even an empty block.

    Each block costs `shared_reserved` beside what it asks for; where that is nothing, an empty block always fits.
    """
    left = gpu.shared_per_sm - gpu.shared_per_block - gpu.shared_reserved
    return 0 <= left < gpu.shared_reserved


def fills_by_threads(gpu: Gpu, threads: int) -> bool:
    """Whether blocks of so many threads leave no room for another warp: on a T4 1,024 threads are all of an SM's.

    >>> from dualpipe_ref.hopper.emulated_driver import H100, T4
    >>> fills_by_threads(T4, 1024), fills_by_threads(H100, 1024)
    (True, False)
    """
    return min(threads, MOST_THREADS) >= gpu.threads_per_sm
