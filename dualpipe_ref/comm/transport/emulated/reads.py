"""Who read which words since they were last stored: by PTX's letter a store must be ordered after those reads.

So a credit must be a release, and an acquire must read it. No GPU needs that: it stores nothing before the loads in front of
it have their values. Hence this is an extra check, which finds a missing barrier before a credit in every run, not in some.
"""

from __future__ import annotations

from typing import Any

from dualpipe_ref.comm.transport.emulated.knowledge import Clock
from dualpipe_ref.comm.transport.emulated.races import Mark, Races
from dualpipe_ref.comm.transport.emulated.regions import Regions


class Reads:
    """The last read of each word by each agent: (when on its clock, which halves, where in the source)."""

    def __init__(self, races: Races, regions: Regions) -> None:
        self._races, self._regions = races, regions
        self._words: dict[int, dict[int, tuple[int, int, Mark]]] = {}

    def note(self, address: int, size: int, agent: int, epoch: int, mark: Mark) -> None:
        words = self._words
        for word in range(address & -8, address + size, 8):
            half = halves(address, size)
            readers = words.get(word)
            if readers is None:
                words[word] = {agent: (epoch, half, mark)}
            else:
                before = readers.get(agent)
                if before is not None and before[0] == epoch:
                    half |= before[1]
                readers[agent] = (epoch, half, mark)

    def overwrite(self, address: int, size: int, agent: int, clock: Clock, mark: Mark) -> None:
        """An agent that knows `clock` stores."""
        half = halves(address, size)
        for word in range(address & -8, address + size, 8):
            readers = self._words.pop(word, None)
            if readers is None:
                continue
            for reader, (epoch, read, place) in readers.items():
                if reader != agent and read & half and clock[reader] < epoch:
                    self._races.note_overwritten(place, mark, self._regions, address)
            if half != 3:
                left: dict[int, Any] = {one: at for one, at in readers.items() if at[1] & ~half}
                if left:
                    self._words[word] = left


def halves(address: int, size: int) -> int:
    """Which halves of its words an access touches: 1 the lower, 2 the upper, 3 both."""
    return 3 if size > 4 else 2 if address & 4 else 1
