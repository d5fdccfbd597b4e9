"""Weak memory: what a thread stored is seen by others late or in parts, unless a release and an acquire, or a barrier, order it.

A model in the style of PTX's, from the reader's side. All stores to 8 bytes have an order, that in which they are made; each
carries its thread and the time on that thread's own clock. A thread knows, for every other thread, up to which time it knows
what that one did (a vector clock): a load gives any of the stores that are not older than the newest which the thread
knows. Knowledge moves with

* a release, which attaches all that its thread knows to the word that it stores, and an acquire that reads this word, or
  what atomic additions made of it, if the scope of each includes the other thread: "cta" its block, "gpu" its rank,
  "sys" everybody. A fence makes a release of the relaxed stores after it and an acquire of the relaxed loads before it;
* syncwarp among the lanes of a warp, syncthreads among those of a block. Votes and shuffles move no knowledge: CUDA
  promises no order of memory for them;
* nothing else: not with time, and not with a plain or relaxed load of what was stored.

Relaxed, acquire and atomic operations of one thread on one word never go backwards, and see the newest store after a while.
A network card knows what the lane knew that posted the put (lane 0 of the warp), reads the source late, and attaches to an
addition what the puts before it on the same queue pair stored.

Not modelled: a store that becomes part of the order of its 8 bytes later than it is made, so that an older store
overwrites a newer one; a load that gives a value stored after it in program order (a credit after the last read may be
relaxed, because no GPU stores it before the loads in front of it have their values); two halves of one 8-byte word
that are seen from different stores; proxies (.nc loads: see `load_constant`). Order: PTX ISA, "Memory Consistency Model".
"""

from __future__ import annotations

import sys
from struct import Struct
from typing import Any

import numpy as np

from dualpipe_ref.comm.transport.emulated.knowledge import Clock, Heads, Message, includes, joined
from dualpipe_ref.comm.transport.emulated.machine import Machine
from dualpipe_ref.comm.transport.emulated.places import kernel_frame
from dualpipe_ref.comm.transport.emulated.races import Races
from dualpipe_ref.comm.transport.emulated.reads import Reads
from dualpipe_ref.comm.transport.emulated.regions import Region, Regions
from dualpipe_ref.comm.transport.emulated.sequential import WORD, Sequential, check_written

# So many of a word's last stores can still be seen.
KEPT = 4
# How likely a load that may give an older value does: drawn once for each run.
LATENESS = (0.15, 0.5, 0.85)
# Who stored what was there before the launch; and a number that no agent has.
INITIAL, NOBODY = -1, -2


class Weak(Sequential):
    """The memory operations of kernels, where order and scope matter."""

    def __init__(self, machine: Machine, regions: Regions, races: Races, reads: bool) -> None:
        super().__init__(machine, regions)
        self.races = races
        self.reads = Reads(races, regions) if reads else None
        self.lateness = machine.draw.choice(LATENESS)
        self.histories: dict[int, list[Message]] = {}
        self._clocks: list[Clock] = []
        machine.merge = self.merge

    def begin(self) -> None:
        """All blocks are placed: nobody knows anything but what was there before the launch."""
        threads = len(self.machine.threads)
        agents = threads + self.machine.engines
        nothing = np.zeros(agents, np.int32)
        self._clocks = [nothing] * agents
        self._epochs = [1] * agents
        # What a fence attached to later relaxed stores; what relaxed loads have read, for a fence to take.
        self._fenced: dict[int, Clock] = {}
        self._read: dict[int, Clock] = {}
        # Up to which store of a word a thread has come.
        self._seen: dict[tuple[int, int], int] = {}

    # Plain accesses

    def load(self, address: int, codec: Struct, owners: Any = None) -> tuple[Any, ...]:
        values = super().load(address, codec, owners)
        me = self.machine.current.number
        clock = self._clocks[me]
        if self.reads is not None:
            frame = sys._getframe(2)
            mark = (frame.f_code, frame.f_lasti)
            self.reads.note(address, codec.size, me, self._epochs[me], mark)
        first, size = address & -8, codec.size
        stale = None
        for word in range(first, address + size, 8):
            history = self.histories.get(word)
            if history is not None:
                newest = history[-1]
                by = newest.thread
                if by != me and by >= 0 and clock[by] < newest.epoch:
                    stale = self._late(history, me, clock, word, address, size, stale)
        if stale is None:
            return values
        return codec.unpack_from(stale, address - first)

    def _late(
        self,
        history: list[Message],
        me: int,
        clock: Clock,
        word: int,
        address: int,
        size: int,
        stale: bytearray | None,
    ) -> bytearray | None:
        """The bytes that a load gives, if one of its words is older than the newest."""
        oldest = self.oldest(history, me, clock)
        begin, end = max(address - word, 0), min(address + size - word, 8)
        newest = history[-1].value[begin:end]
        older = [one for one in history[oldest:-1] if one.value[begin:end] != newest]
        if not older:
            return stale
        self.races.note(history[-1].mark, sys._getframe(3), self.regions, word + begin)
        draw = self.machine.draw
        if draw.random() >= self.lateness:
            return stale
        first = address & -8
        if stale is None:
            region = self.regions.region_at(address)
            stale = bytearray(
                region.view[first - region.base : max(address + size, first + 8) - region.base]
            )
        chosen = older[int(draw.random() * len(older))]
        stale[word - first : word - first + 8] = chosen.value
        return stale

    def oldest(self, history: list[Message], me: int, clock: Clock) -> int:
        """The place of the oldest store that this agent may still see: the newest that it knows."""
        for at in range(len(history) - 1, 0, -1):
            one = history[at]
            if one.thread == me or one.thread < 0 or clock[one.thread] >= one.epoch:
                return at
        return 0

    def put(self, region: Region, address: int, codec: Struct, values: tuple[Any, ...]) -> None:
        frame = sys._getframe(3)
        mark = (frame.f_code, frame.f_lasti)
        me = self.machine.current.number
        if self.reads is not None:
            self.reads.overwrite(address, codec.size, me, self._clocks[me], mark)
        self.record(region, address, codec, values, mark, me, is_data=True)

    def record(
        self,
        region: Region,
        address: int,
        codec: Struct,
        values: tuple[Any, ...],
        mark: Any,
        by: int,
        heads: Heads = (),
        is_data: bool = False,
    ) -> None:
        epoch, start, view = self._epochs[by], region.base, region.view
        words = range(address & -8, address + codec.size, 8)
        for word in words:
            if word not in self.histories:
                before = bytes(view[word - start : word - start + 8])
                self.histories[word] = [Message(before, INITIAL, 0, 0, (), None, False)]
        super().put(region, address, codec, values)
        for word in words:
            history = self.histories[word]
            now = bytes(view[word - start : word - start + 8])
            number = history[-1].number + 1
            history.append(Message(now, by, epoch, number, heads, mark, is_data))
            if len(history) > KEPT:
                del history[0]

    # Flags

    def load_word(self, address: int, order: str, scope: str) -> int:
        newest = super().load_word(address, order, scope)
        history = self.histories.get(address)
        if history is None:
            return newest
        machine = self.machine
        thread = machine.current
        me = thread.number
        at = len(history) - 1
        oldest = self.oldest(history, me, self._clocks[me])
        seen = self._seen.get((me, address), 0)
        while oldest < at and history[oldest].number < seen:
            oldest += 1
        if oldest < at and machine.draw.random() < self.lateness:
            at = oldest + int(machine.draw.random() * (at - oldest))
            # A nap must not wait for what it only has to look at again.
            thread.warp.changes += 1
        message = history[at]
        self._seen[me, address] = message.number
        self._take(message, order, scope)
        value: int = WORD.unpack(message.value)[0]
        return value

    def store_word(self, address: int, value: int, order: str, scope: str) -> None:
        machine = self.machine
        machine.give_way()
        region = self.word(address, scope)
        before = self.histories.get(address)
        mine = before[-1].heads if before and before[-1].thread == machine.current.number else ()
        self._put_word(region, address, value, self._heads(order, scope, mine))

    def change_word(self, address: int, amount: int, order: str, scope: str) -> int:
        return self._atomic(address, order, scope, lambda old: old + int(amount))

    def swap_word(self, address: int, expected: int, new: int, order: str, scope: str) -> int:
        return self._atomic(address, order, scope, lambda old: new if old == expected else None)

    def _atomic(self, address: int, order: str, scope: str, change: Any) -> int:
        machine = self.machine
        machine.give_way()
        region = self.word(address, scope)
        if region.written is not None:
            check_written(region, address - region.base, 8)
        old: int = WORD.unpack_from(region.view, address - region.base)[0]
        history = self.histories.get(address)
        newest = history[-1] if history else None
        if newest is not None:
            self._seen[machine.current.number, address] = newest.number
            if order == "acq_rel":
                self._take(newest, "acquire", scope)
        new = change(old)
        if new is not None:
            earlier = newest.heads if newest is not None else ()
            self._put_word(region, address, new, self._heads(order, scope, earlier))
        return old

    def _put_word(self, region: Region, address: int, value: int, heads: Heads) -> None:
        frame = kernel_frame(sys._getframe(3))
        mark = (frame.f_code, frame.f_lasti) if frame else None
        me = self.machine.current.number
        self.record(region, address, WORD, (value,), mark, me, heads)
        self._seen[me, address] = self.histories[address][-1].number
        self.machine.moved_on()

    def _heads(self, order: str, scope: str, earlier: Heads) -> Heads:
        """What a store attaches: its own release, that of a fence before it, and what it continues."""
        me, block = self.machine.current.number, self.machine.current.block
        own: Heads = ()
        if order in ("release", "acq_rel"):
            own = ((scope, block, self.release(me)),)
        elif me in self._fenced:
            own = (("sys", block, self._fenced[me]),)
        return joined(own, earlier)

    def release(self, me: int) -> Clock:
        """All that this agent knows and did, and a new time for what it does from now on."""
        clock = self._clocks[me].copy()
        clock[me] = self._epochs[me]
        self._epochs[me] += 1
        return clock

    def _take(self, message: Message, order: str, scope: str) -> None:
        thread = self.machine.current
        for other, block, clock in message.heads:
            if includes(other, block, thread.block) and includes(scope, thread.block, block):
                known = self._clocks if order == "acquire" else self._read
                me = thread.number
                known[me] = (
                    np.maximum(known[me], clock)
                    if order == "acquire" or me in self._read
                    else clock
                )

    def fence(self) -> None:
        super().fence()
        me = self.machine.current.number
        if me in self._read:
            self._clocks[me] = np.maximum(self._clocks[me], self._read.pop(me))
        self._fenced[me] = self.release(me)

    def merge(self, threads: list[Any]) -> None:
        """These threads met at a barrier: from here on each knows what any of them knew."""
        clock = self._clocks[threads[0].number].copy()
        for thread in threads[1:]:
            other = self._clocks[thread.number]
            if other is not self._clocks[threads[0].number]:
                np.maximum(clock, other, out=clock)
        for thread in threads:
            clock[thread.number] = self._epochs[thread.number]
            self._epochs[thread.number] += 1
        for thread in threads:
            self._clocks[thread.number] = clock
