"""Sequentially consistent memory: every store is seen by all at once. The fastest, and no evidence for fences."""

from __future__ import annotations

from struct import Struct, error
from typing import Any

from dualpipe_ref.comm.transport.emulated.machine import Machine
from dualpipe_ref.comm.transport.emulated.regions import POISON, KernelError, Region, Regions

WORD = Struct("<q")
PIECE = Struct("16s")
LIMIT = 1 << 63


class Sequential:
    """The memory operations of kernels; order and scope of an access do not matter here."""

    def __init__(self, machine: Machine, regions: Regions) -> None:
        self.machine, self.regions = machine, regions

    def begin(self) -> None:
        """All blocks are placed."""

    def end(self) -> None:
        """All threads have ended."""

    def load(self, address: int, codec: Struct, owners: Any = None) -> tuple[Any, ...]:
        """A plain load."""
        machine = self.machine
        machine.plain()
        size = codec.size
        region = self.regions.find(address, size, owners or machine.current.owners)
        at = address - region.base
        if region.written is not None:
            check_written(region, at, size)
        return codec.unpack_from(region.view, at)

    def load_constant(self, address: int, codec: Struct) -> tuple[Any, ...]:
        """A load from memory that nobody writes during the launch."""
        region = self.regions.find(address, codec.size, self.machine.current.owners)
        use(region, 2)
        return codec.unpack_from(region.view, address - region.base)

    def store(self, address: int, codec: Struct, *values: Any, owners: Any = None) -> None:
        """A plain store."""
        machine = self.machine
        size = codec.size
        region = self.regions.find(address, size, owners or machine.current.owners)
        self.put(region, address, codec, values)
        machine.plain()

    def load_word(self, address: int, order: str, scope: str) -> int:
        """A strong load of 64 bits: a thread may be waiting for what it sees."""
        machine = self.machine
        machine.give_way()
        region = self.word(address, scope)
        if region.written is not None:
            check_written(region, address - region.base, 8)
        machine.watch(address)
        seen: int = WORD.unpack_from(region.view, address - region.base)[0]
        return seen

    def store_word(self, address: int, value: int, order: str, scope: str) -> None:
        """A strong store of 64 bits."""
        machine = self.machine
        machine.give_way()
        region = self.word(address, scope)
        self.put(region, address, WORD, (value,))
        machine.moved_on()

    def change_word(self, address: int, amount: int, order: str, scope: str) -> int:
        """Add to 64 bits, atomically; gives what was there."""
        machine = self.machine
        machine.give_way()
        region = self.word(address, scope)
        if region.written is not None:
            check_written(region, address - region.base, 8)
        old: int = WORD.unpack_from(region.view, address - region.base)[0]
        self.put(region, address, WORD, ((old + int(amount) + LIMIT) % (2 * LIMIT) - LIMIT,))
        machine.moved_on()
        return old

    def swap_word(self, address: int, expected: int, new: int, order: str, scope: str) -> int:
        """Store `new` if `expected` is there, atomically; gives what was there."""
        machine = self.machine
        machine.give_way()
        region = self.word(address, scope)
        if region.written is not None:
            check_written(region, address - region.base, 8)
        old: int = WORD.unpack_from(region.view, address - region.base)[0]
        if old == expected:
            self.put(region, address, WORD, (new,))
            machine.moved_on()
        return old

    def word(self, address: int, scope: str) -> Region:
        """The region of a word: instructions of the block scope take shared addresses too."""
        thread = self.machine.current
        return self.regions.find(address, 8, thread.in_block if scope == "cta" else thread.owners)

    def fence(self) -> None:
        self.machine.give_way()

    def put(self, region: Region, address: int, codec: Struct, values: tuple[Any, ...]) -> None:
        """Write to a region, and wake those who watch."""
        at = address - region.base
        try:
            codec.pack_into(region.view, at, *values)
        except error as problem:
            raise KernelError(f"{values} do not fit {codec.format!r}: {problem}") from None
        if region.written is not None:
            region.written[at : at + codec.size] = b"\x01" * codec.size
        if region.uses != 1:
            use(region, 1)
        watchers = self.machine.watchers
        word = address & -8
        if word in watchers:
            self.machine.changed(word)
        if codec.size == 16 and word + 8 in watchers:
            self.machine.changed(word + 8)

    # The network

    def posting(self, thread: Any) -> Any:
        """What the network card knows when this thread posts a put."""
        return None

    def remote_copy(self, queue: int, target: int, source: int, knows: Any) -> None:
        """Copy 16 bytes for a queue pair."""
        region = self.regions.region_at(source)
        at = source - region.base
        self.put(self.regions.region_at(target), target, PIECE, (bytes(region.view[at : at + 16]),))

    def remote_add(self, queue: int, target: int, amount: int, knows: Any) -> None:
        region = self.regions.region_at(target)
        old: int = WORD.unpack_from(region.view, target - region.base)[0]
        self.put(region, target, WORD, (old + amount,))


def check_written(region: Region, at: int, size: int) -> None:
    assert region.written is not None
    if not all(region.written[at : at + size]):
        raise KernelError(
            f"read before anything was stored there: bytes {at} to {at + size} of {region.name} hold poison ({POISON:#x})"
        )


def use(region: Region, how: int) -> None:
    """Note that a launch stores to a region (1), or reads it as constant (2): not both."""
    if how == 2 and region.rank is not None:
        raise KernelError(
            f"ld_v4_constant of {region.name}: a heap may be written while the kernel runs"
        )
    if region.uses not in (0, how):
        raise KernelError(f"{region.name} is read by ld_v4_constant and written in the same launch")
    region.uses = how
