"""Weak memory as the network card sees it: what it reads, and what an addition of its queue pair hands on."""

from __future__ import annotations

from struct import Struct
from typing import Any

import numpy as np

from dualpipe_ref.comm.transport.emulated.knowledge import Clock, Heads, joined
from dualpipe_ref.comm.transport.emulated.sequential import PIECE, WORD
from dualpipe_ref.comm.transport.emulated.weak import NOBODY, Weak


class WeakWithNetwork(Weak):
    """Each queue pair is an agent with a clock of its own.

    A card knows what lane 0 of the warp knew that posted the put, and attaches to an addition what the puts before it on the
    same queue pair stored: not what the poster knew beside.
    """

    def posting(self, thread: Any) -> Clock:
        return self.release(thread.number)

    def remote_copy(self, queue: int, target: int, source: int, knows: Clock) -> None:
        card = len(self.machine.threads) + queue
        if self.reads is not None:
            self.reads.note(source, 16, card, self._epochs[card], None)
            self.reads.overwrite(target, 16, card, knows, None)
        region = self.regions.region_at(source)
        piece = bytearray(region.view[source - region.base : source - region.base + 16])
        draw = self.machine.draw
        for at in (0, 8):
            history = self.histories.get(source + at)
            if history is not None:
                older = history[self.oldest(history, NOBODY, knows)].value
                if older != history[-1].value:
                    self.races.note_card(history[-1].mark, self.regions, source + at)
                    if draw.random() < self.lateness:
                        piece[at : at + 8] = older
        self._arrive(queue, target, PIECE, bytes(piece), (), is_data=True)

    def remote_add(self, queue: int, target: int, amount: int, knows: Clock) -> None:
        region = self.regions.region_at(target)
        old = WORD.unpack_from(region.view, target - region.base)[0]
        history = self.histories.get(target)
        earlier = history[-1].heads if history else ()
        clock = self.release(len(self.machine.threads) + queue)
        if self.reads is not None:
            clock = np.maximum(clock, knows)  # the poster had read what it read
        own = ("sys", None, clock)
        self._arrive(queue, target, WORD, old + amount, joined((own,), earlier))

    def _arrive(
        self,
        queue: int,
        target: int,
        codec: Struct,
        value: Any,
        heads: Heads,
        is_data: bool = False,
    ) -> None:
        card = len(self.machine.threads) + queue
        region = self.regions.region_at(target)
        self.record(region, target, codec, (value,), None, card, heads, is_data)

    def end(self) -> None:
        """The launch is over: what others left in a rank's heap, the rank must have acquired before its host can read it."""
        threads = self.machine.threads
        known: dict[int, Clock] = {}
        for thread in threads:
            rank, clock = thread.block.rank, self._clocks[thread.number]
            known[rank] = np.maximum(known[rank], clock) if rank in known else clock
        for word, history in self.histories.items():
            newest = history[-1]
            owner = self.regions.region_at(word).rank
            if newest.is_data and owner is not None and owner in known:
                is_own = newest.thread < len(threads) and threads[newest.thread].block.rank == owner
                if not is_own and known[owner][newest.thread] < newest.epoch:
                    self.races.note_host(owner, newest.mark, self.regions, word)
