"""Which memory there is: heaps, the tensors of a launch, and shared arrays; every access is checked against it."""

from __future__ import annotations

from bisect import bisect_right
from ctypes import c_char
from typing import Any

# Before its first store, a byte of shared memory holds this.
POISON = 0xA5


class KernelError(RuntimeError):
    """A kernel did what a GPU would not forgive; the message says where, in which thread, and with what values."""


class Region:
    """An array that kernels may reach: `size` bytes from `start` on.

    `owner` is None where every thread may, a node's number where only GPUs of that node may (over NVLink), and a block where
    only that block may. `rank` is that of a heap, None for other arrays.
    """

    __slots__ = (
        "base",
        "end",
        "keep",
        "name",
        "owner",
        "rank",
        "start",
        "uses",
        "view",
        "written",
    )

    def __init__(
        self,
        name: str,
        start: int,
        size: int,
        keep: Any,
        owner: Any = None,
        rank: int | None = None,
    ) -> None:
        self.name, self.start, self.end, self.owner = name, start, start + size, owner
        self.rank, self.keep = rank, keep
        # Whole words of 8 bytes from `base` on, so that the first and the last are whole too.
        self.base = start & -8
        whole = (start + size + 7 & -8) - self.base
        self.view = memoryview((c_char * whole).from_address(self.base)).cast("B")
        # Which bytes were ever stored; None where that is not known.
        self.written: bytearray | None = None
        # Whether this launch stored to it (1) or promised that nobody does (2).
        self.uses = 0


class Regions:
    """All regions, found by address.

    >>> regions = Regions()
    >>> import torch
    >>> words = torch.zeros(4, dtype=torch.int64)
    >>> regions.add(Region("words", words.data_ptr(), 32, words))
    >>> regions.find(words.data_ptr() + 8, 8, {None}).name
    'words'
    """

    def __init__(self) -> None:
        nowhere = Region("nothing", id(self), 0, None)
        nowhere.start = nowhere.end = -1
        self.starts: list[int] = [-1]
        self.regions: list[Region] = [nowhere]

    def add(self, region: Region) -> None:
        """Make a region known. One that lies within another that is known changes nothing."""
        if region.start == region.end:
            return
        at = bisect_right(self.starts, region.start)
        if self.regions[at - 1].end >= region.end:
            return
        while at < len(self.starts) and self.regions[at].start < region.end:
            del self.starts[at], self.regions[at]  # views of the same tensor: keep the whole
        self.starts.insert(at, region.start)
        self.regions.insert(at, region)

    def remove(self, region: Region) -> None:
        at = bisect_right(self.starts, region.start) - 1
        if self.regions[at] is region:
            del self.starts[at], self.regions[at]

    def find(self, address: int, size: int, owners: set[Any]) -> Region:
        """The region that holds these bytes, of those that a thread with these `owners` may reach."""
        region = self.regions[bisect_right(self.starts, address) - 1]
        if address + size > region.end or address % size or region.owner not in owners:
            self._refuse(address, size, region)
        return region

    def region_at(self, address: int) -> Region:
        return self.regions[bisect_right(self.starts, address) - 1]

    def _refuse(self, address: int, size: int, region: Region) -> None:
        what = f"{size} bytes at address {address:#x}"
        if address + size > region.end:
            raise KernelError(f"access outside all arrays: {what}; {self._nearest(address)}")
        place = f"byte {address - region.start} of {region.name}"
        if address % size:
            raise KernelError(f"misaligned access: {what} ({place}) is no multiple of {size}")
        if isinstance(region.owner, int):
            raise KernelError(
                f"access to {region.name}, which is in another node (node {region.owner}): "
                f"only `link` reaches it; {what} ({place})"
            )
        raise KernelError(
            f"only its block reaches shared memory, by index or by instructions of the block scope: {what} ({place})"
        )

    def _nearest(self, address: int) -> str:
        def distance(region: Region) -> int:
            return max(region.start - address, address - region.end + 1, 0)

        known = self.regions[1:]
        if not known:
            return "no array is known"
        region = min(known, key=distance)
        if address < region.start:
            place = f"{region.start - address} bytes before the start of"
        else:
            place = f"{address - region.end} bytes after the end of"
        return f"nearest: {place} {region.name} ({region.end - region.start} bytes)"
