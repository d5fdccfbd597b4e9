"""The one layout of messages: what travels with a token, and at which byte of its slot. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError, require_int

# A warp moves 16 bytes a lane; rows and slots are whole multiples.
VECTOR = 16


class Parts(NamedTuple):
    """A message as kernels know it, `plan.message`: how many words of each kind, at which bytes, and the slot's size."""

    row_bytes: int
    scales: int
    weights: int
    experts: int
    scales_at: int
    weights_at: int
    experts_at: int
    meta_at: int
    size: int


@dataclass(frozen=True)
class Message:
    """Row | scales (float32) | weights (float32) | experts (int32, global numbers) | meta (int32), then padding to 16 bytes.

    `row_bytes` is the hidden size times the size of a number, the others count words. Who sends and forwards sees bytes;
    the final receiver unpacks. Word 0 of the meta is the token's place at its source; the rest is the version's own.

    DeepSeek-V3's message of dispatch, FP8 with a scale for each 128 numbers and 8 experts a token:

    >>> Message(row_bytes=7168, scales=56, weights=8, experts=8, meta=2).size
    7472
    """

    row_bytes: int
    scales: int = 0
    weights: int = 0
    experts: int = 0
    meta: int = 0

    def __post_init__(self) -> None:
        require_int("row_bytes", self.row_bytes, VECTOR)
        for name in ("scales", "weights", "experts", "meta"):
            require_int(name, getattr(self, name), 0)
        if self.row_bytes % VECTOR:
            raise InputError(
                f"a row is a multiple of {VECTOR} bytes",
                f"{self.row_bytes} bytes",
                f"{rounded_up(self.row_bytes, VECTOR)} bytes",
            )

    @property
    def scales_at(self) -> int:
        return self.row_bytes

    @property
    def weights_at(self) -> int:
        return self.scales_at + 4 * self.scales

    @property
    def experts_at(self) -> int:
        return self.weights_at + 4 * self.weights

    @property
    def meta_at(self) -> int:
        return self.experts_at + 4 * self.experts

    @property
    def size(self) -> int:
        """Bytes of a slot."""
        return rounded_up(self.meta_at + 4 * self.meta, VECTOR)

    def parts(self) -> Parts:
        """What a kernel's plan says of it."""
        return Parts(
            self.row_bytes,
            self.scales,
            self.weights,
            self.experts,
            self.scales_at,
            self.weights_at,
            self.experts_at,
            self.meta_at,
            self.size,
        )


def rounded_up(number: int, multiple: int) -> int:
    """The least multiple that is not less.

    >>> rounded_up(7464, 16)
    7472
    """
    return -(-number // multiple) * multiple
