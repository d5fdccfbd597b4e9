"""The emulator's `ptx`: the names of `kernels/ptx.py`, on an emulated memory. Importing this imports greenlet."""

from __future__ import annotations

from struct import Struct
from typing import Any

import numpy as np

from dualpipe_ref.comm.transport.emulated.cuda import SharedArray
from dualpipe_ref.comm.transport.emulated.machine import Machine
from dualpipe_ref.comm.transport.emulated.sequential import Sequential

I32, I64, F32, V4 = Struct("<i"), Struct("<q"), Struct("<f"), Struct("<4i")


class Ptx:
    """The names of `kernels/ptx.py`, on an emulated memory."""

    def __init__(self, machine: Machine, memory: Sequential) -> None:
        self._machine, self._memory = machine, memory

    # Plain

    def ld_i32(self, address: int) -> int:
        return int(self._memory.load(address, I32)[0])

    def st_i32(self, address: int, value: int) -> None:
        self._memory.store(address, I32, value)

    def ld_i64(self, address: int) -> int:
        return int(self._memory.load(address, I64)[0])

    def st_i64(self, address: int, value: int) -> None:
        self._memory.store(address, I64, value)

    def ld_f32(self, address: int) -> np.float32:
        return np.float32(self._memory.load(address, F32)[0])

    def st_f32(self, address: int, value: np.float32) -> None:
        self._memory.store(address, F32, value)

    def ld_v4(self, address: int) -> tuple[Any, ...]:
        return self._memory.load(address, V4)

    def st_v4(self, address: int, value: tuple[int, int, int, int]) -> None:
        self._memory.store(address, V4, *value)

    def ld_v4_constant(self, address: int) -> tuple[Any, ...]:
        return self._memory.load_constant(address, V4)

    # System

    def ld_acquire_sys(self, address: int) -> int:
        return self._memory.load_word(address, "acquire", "sys")

    def ld_relaxed_sys(self, address: int) -> int:
        return self._memory.load_word(address, "relaxed", "sys")

    def st_release_sys(self, address: int, value: int) -> None:
        self._memory.store_word(address, value, "release", "sys")

    def st_relaxed_sys(self, address: int, value: int) -> None:
        self._memory.store_word(address, value, "relaxed", "sys")

    def red_add_release_sys(self, address: int, value: int) -> None:
        self._memory.change_word(address, value, "release", "sys")

    def red_add_relaxed_sys(self, address: int, value: int) -> None:
        self._memory.change_word(address, value, "relaxed", "sys")

    def atom_add_acq_rel_sys(self, address: int, value: int) -> int:
        return self._memory.change_word(address, value, "acq_rel", "sys")

    def atom_cas_sys(self, address: int, expected: int, new: int) -> int:
        return self._memory.swap_word(address, expected, new, "acq_rel", "sys")

    def fence_acq_rel_sys(self) -> None:
        self._memory.fence()

    # Block

    def ld_acquire_cta(self, address: int) -> int:
        return self._memory.load_word(address, "acquire", "cta")

    def ld_relaxed_cta(self, address: int) -> int:
        return self._memory.load_word(address, "relaxed", "cta")

    def st_release_cta(self, address: int, value: int) -> None:
        self._memory.store_word(address, value, "release", "cta")

    def st_relaxed_cta(self, address: int, value: int) -> None:
        self._memory.store_word(address, value, "relaxed", "cta")

    def red_add_release_cta(self, address: int, value: int) -> None:
        self._memory.change_word(address, value, "release", "cta")

    def atom_add_acq_rel_cta(self, address: int, value: int) -> int:
        return self._memory.change_word(address, value, "acq_rel", "cta")

    def shared_address(self, array: SharedArray) -> int:
        return array.start

    # Numbers

    def f32_of_bits(self, number: int) -> np.float32:
        return np.uint32(int(number) & 0xFFFFFFFF).view(np.float32)

    def bits_of_f32(self, number: np.float32) -> int:
        return int(np.float32(number).view(np.int32))

    def round_bf16x2(self, low: np.float32, high: np.float32) -> int:
        both = _bfloat16(low) | _bfloat16(high) << 16
        return both - (1 << 32) if both >> 31 else both

    def product_f32(self, low: np.float32, high: np.float32) -> np.float32:
        return np.float32(low) * np.float32(high)

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
