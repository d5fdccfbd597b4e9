"""The emulator's `cuda`: what kernels use of Numba's module, and nothing else. Importing this imports greenlet."""

from __future__ import annotations

import sys
from struct import Struct
from typing import Any

import numpy as np

from dualpipe_ref.comm.kernels.machine import FULL
from dualpipe_ref.comm.transport.emulated.machine import Machine
from dualpipe_ref.comm.transport.emulated.regions import POISON, KernelError, Region


class SharedArray:
    """A one-dimensional array in shared memory, read and written by index like Numba's."""

    def __init__(self, memory: Any, words: np.ndarray[Any, Any]) -> None:
        self._memory, self.words = memory, words
        self.start = words.ctypes.data
        self._size = words.itemsize
        self._codec = Struct(f"<{words.dtype.char if words.dtype.char != 'l' else 'q'}")

    def _address(self, index: int) -> int:
        if not 0 <= index < len(self.words):
            raise KernelError(f"index {index} of a shared array of {len(self.words)}")
        return self.start + self._size * int(index)

    def __getitem__(self, index: int) -> Any:
        owners = self._memory.machine.current.in_block
        value = self._memory.load(self._address(index), self._codec, owners)[0]
        return np.float32(value) if self.words.dtype == np.float32 else value

    def __setitem__(self, index: int, value: Any) -> None:
        owners = self._memory.machine.current.in_block
        self._memory.store(self._address(index), self._codec, value, owners=owners)


class Shared:
    """`cuda.shared`: an array for each block and place in the source."""

    def __init__(self, machine: Machine, memory: Any) -> None:
        self._machine, self._memory = machine, memory

    def array(self, shape: int, dtype: Any) -> SharedArray:
        frame = sys._getframe(1)
        place = (frame.f_code, frame.f_lasti)
        block = self._machine.current.block
        if place not in block.shared:
            words = np.empty(shape, dtype)
            words.view(np.uint8).fill(POISON)
            name = f"the shared array of {frame.f_code.co_name}, line {frame.f_lineno}, in block {block.number}"
            region = Region(name, words.ctypes.data, words.nbytes, words, owner=block)
            region.written = bytearray(words.nbytes)
            self._memory.regions.add(region)
            block.shared[place] = SharedArray(self._memory, words), region
        array: SharedArray = block.shared[place][0]
        return array


class Cuda:
    """What kernels use of Numba's `cuda`, and nothing else."""

    def __init__(self, machine: Machine, memory: Any, lanes: int) -> None:
        self._machine, self._memory = machine, memory
        self.warpsize = lanes
        self.shared = Shared(machine, memory)

    @property
    def threadIdx(self) -> Any:  # noqa: N802
        return self._machine.current.index

    @property
    def blockIdx(self) -> Any:  # noqa: N802
        return self._machine.current.block.index

    @property
    def blockDim(self) -> Any:  # noqa: N802
        return self._machine.current.block.dim

    def syncthreads(self) -> None:
        self._machine.syncthreads()

    def syncwarp(self) -> None:
        self._machine.meet("syncwarp", None)

    def shfl_sync(self, mask: int, value: Any, lane: int) -> Any:
        got = self._meet("shfl_sync", mask, value)[int(lane) % self.warpsize]
        if got is None:
            raise KernelError(f"shfl_sync from lane {lane}, which has ended")
        return got

    def ballot_sync(self, mask: int, predicate: Any) -> int:
        votes = self._meet("ballot_sync", mask, bool(predicate))
        return sum(1 << lane for lane, vote in enumerate(votes) if vote)

    def all_sync(self, mask: int, predicate: Any) -> bool:
        return all(vote is not False for vote in self._meet("all_sync", mask, bool(predicate)))

    def any_sync(self, mask: int, predicate: Any) -> bool:
        return any(self._meet("any_sync", mask, bool(predicate)))

    def _meet(self, kind: str, mask: int, value: Any) -> list[Any]:
        if mask != FULL:
            raise KernelError(f"the mask of {kind} is always FULL; got {mask:#x}")
        return self._machine.meet(kind, value)

    def popc(self, value: int) -> int:
        return (int(value) & 0xFFFFFFFFFFFFFFFF).bit_count()

    def nanosleep(self, nanoseconds: int) -> None:
        self._machine.nap(nanoseconds)
