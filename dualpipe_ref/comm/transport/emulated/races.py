"""Loads that may give an older value than the newest: said by the lines of the load and of the store."""

from __future__ import annotations

from types import CodeType, FrameType

from dualpipe_ref.comm.transport.emulated.places import line_at, line_of
from dualpipe_ref.comm.transport.emulated.regions import Regions

MOST = 100


class Races:
    """What was seen of them, each pair of lines once."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], str] = {}

    def note(
        self, store: tuple[CodeType, int] | None, load: FrameType, regions: Regions, address: int
    ) -> None:
        self._add(line_of(load.f_code, load.f_lineno), store, regions, address)

    def note_card(self, store: tuple[CodeType, int] | None, regions: Regions, address: int) -> None:
        self._add("a put over the network", store, regions, address)

    def _add(
        self, load: str, store: tuple[CodeType, int] | None, regions: Regions, address: int
    ) -> None:
        if len(self.found) < MOST:
            stored = line_of(store[0], line_at(*store)) if store else "a put over the network"
            region = regions.region_at(address)
            self.found.setdefault(
                (load, stored),
                f"{load} may miss what {stored} stored at byte {address - region.start} of {region.name}: "
                "no release, acquire or barrier orders them",
            )
