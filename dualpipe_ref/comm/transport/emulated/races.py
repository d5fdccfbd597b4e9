"""Loads that may miss a store, and stores that may come before a load is done: said by the lines of both."""

from __future__ import annotations

from types import CodeType, FrameType

from dualpipe_ref.comm.transport.emulated.places import line_at, line_of
from dualpipe_ref.comm.transport.emulated.regions import Regions

MOST = 100
# A place in the source: a function and an instruction of it; None is the network card.
Mark = tuple[CodeType, int] | None


class Races:
    """What was seen of them, each pair of lines once."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], str] = {}

    def note(self, store: Mark, load: FrameType, regions: Regions, address: int) -> None:
        self._add(line_of(load.f_code, load.f_lineno), store, regions, address)

    def note_card(self, store: Mark, regions: Regions, address: int) -> None:
        self._add("a put over the network", store, regions, address)

    def note_overwritten(self, load: Mark, store: Mark, regions: Regions, address: int) -> None:
        self._say(
            "{1} may overwrite what {0} still reads", said(load), said(store), regions, address
        )

    def note_host(self, rank: int, store: Mark, regions: Regions, address: int) -> None:
        self._add(f"the host of rank {rank}", store, regions, address)

    def _add(self, load: str, store: Mark, regions: Regions, address: int) -> None:
        self._say("{0} may miss what {1} stored", load, said(store), regions, address)

    def _say(self, what: str, load: str, store: str, regions: Regions, address: int) -> None:
        if len(self.found) < MOST and (load, store) not in self.found:
            region = regions.region_at(address)
            self.found[load, store] = (
                f"{what.format(load, store)} at byte {address - region.start} of {region.name}: "
                "no release, acquire or barrier orders them"
            )


def said(mark: Mark) -> str:
    return line_of(mark[0], line_at(*mark)) if mark else "a put over the network"
