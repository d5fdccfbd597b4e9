"""The emulator's `cuda` and `ptx`: the same names as Numba's module and `kernels/ptx.py`. Importing this imports greenlet."""

from __future__ import annotations

import sys
from struct import Struct
from typing import Any

import numpy as np

from dualpipe_ref.comm.kernels.machine import FULL
from dualpipe_ref.comm.transport.emulated.machine import Machine
from dualpipe_ref.comm.transport.emulated.regions import POISON, KernelError, Region
from dualpipe_ref.comm.transport.emulated.sequential import Sequential

I32, I64, F32, V4 = Struct("<i"), Struct("<q"), Struct("<f"), Struct("<4i")


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
        value = self._memory.load(self._address(index), self._codec)[0]
        return np.float32(value) if self.words.dtype == np.float32 else value

    def __setitem__(self, index: int, value: Any) -> None:
        self._memory.store(self._address(index), self._codec, value)


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


class Ptx:
    """The names of `kernels/ptx.py`, on an emulated memory."""

    def __init__(self, machine: Machine, memory: Sequential) -> None:
        self._machine, self._memory = machine, memory

    # Plain

    def ld_i32(self, a: int) -> int:
        return int(self._memory.load(a, I32)[0])

    def st_i32(self, a: int, v: int) -> None:
        self._memory.store(a, I32, v)

    def ld_i64(self, a: int) -> int:
        return int(self._memory.load(a, I64)[0])

    def st_i64(self, a: int, v: int) -> None:
        self._memory.store(a, I64, v)

    def ld_f32(self, a: int) -> np.float32:
        return np.float32(self._memory.load(a, F32)[0])

    def st_f32(self, a: int, v: np.float32) -> None:
        self._memory.store(a, F32, v)

    def ld_v4(self, a: int) -> tuple[int, int, int, int]:
        return self._memory.load(a, V4)

    def st_v4(self, a: int, v: tuple[int, int, int, int]) -> None:
        self._memory.store(a, V4, *v)

    def ld_v4_constant(self, a: int) -> tuple[int, int, int, int]:
        return self._memory.load_constant(a, V4)

    # System

    def ld_acquire_sys(self, a: int) -> int:
        return self._memory.load_word(a, "acquire", "sys")

    def ld_relaxed_sys(self, a: int) -> int:
        return self._memory.load_word(a, "relaxed", "sys")

    def st_release_sys(self, a: int, v: int) -> None:
        self._memory.store_word(a, v, "release", "sys")

    def st_relaxed_sys(self, a: int, v: int) -> None:
        self._memory.store_word(a, v, "relaxed", "sys")

    def red_add_release_sys(self, a: int, v: int) -> None:
        self._memory.change_word(a, v, "release", "sys")

    def red_add_relaxed_sys(self, a: int, v: int) -> None:
        self._memory.change_word(a, v, "relaxed", "sys")

    def atom_add_acq_rel_sys(self, a: int, v: int) -> int:
        return self._memory.change_word(a, v, "acq_rel", "sys")

    def atom_cas_sys(self, a: int, expected: int, new: int) -> int:
        return self._memory.swap_word(a, expected, new, "acq_rel", "sys")

    def fence_acq_rel_sys(self) -> None:
        self._memory.fence()

    # Block

    def ld_acquire_cta(self, a: int) -> int:
        return self._memory.load_word(a, "acquire", "cta")

    def ld_relaxed_cta(self, a: int) -> int:
        return self._memory.load_word(a, "relaxed", "cta")

    def st_release_cta(self, a: int, v: int) -> None:
        self._memory.store_word(a, v, "release", "cta")

    def st_relaxed_cta(self, a: int, v: int) -> None:
        self._memory.store_word(a, v, "relaxed", "cta")

    def red_add_release_cta(self, a: int, v: int) -> None:
        self._memory.change_word(a, v, "release", "cta")

    def atom_add_acq_rel_cta(self, a: int, v: int) -> int:
        return self._memory.change_word(a, v, "acq_rel", "cta")

    def shared_address(self, array: SharedArray) -> int:
        return array.start

    # Numbers

    def f32_of_bits(self, bits: int) -> np.float32:
        return np.uint32(int(bits) & 0xFFFFFFFF).view(np.float32)

    def bits_of_f32(self, number: np.float32) -> int:
        return int(np.float32(number).view(np.int32))

    def round_bf16x2(self, low: np.float32, high: np.float32) -> int:
        both = _bfloat16(low) | _bfloat16(high) << 16
        return both - (1 << 32) if both >> 31 else both

    def product_f32(self, a: np.float32, b: np.float32) -> np.float32:
        return np.float32(a) * np.float32(b)

    # Registers

    def globaltimer(self) -> int:
        return self._machine.clock

    def smid(self) -> int:
        return int(self._machine.current.block.sm)


def _bfloat16(number: np.float32) -> int:
    """The upper 16 bits of a float32, rounded to nearest, ties to even; every NaN becomes 0x7fff, as on the GPU."""
    bits = int(np.float32(number).view(np.uint32))
    if bits & 0x7FFFFFFF > 0x7F800000:
        return 0x7FFF
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 & 0xFFFF
