"""What is made of measured times and bytes. Standard library only.

Times are of one unit, any; bytes are whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError


def exposed_share(together: float, compute: float, communication: float) -> float:
    """The part of communication that computation does not hide: (together - compute alone) / communication alone.

    Computation alone runs on the same SMs as beside communication, so the SMs that it gave up are not in it. Below 0 where
    the two are faster together, which is noise.

    >>> exposed_share(together=10.5, compute=10.0, communication=5.0)
    0.1
    """
    _times(together=together, compute=compute, communication=communication)
    return (together - compute) / communication


def over_the_longer(together: float, compute: float, communication: float) -> float:
    """Time together against the longer of the two alone: 1 is the best that can be.

    >>> over_the_longer(together=10.5, compute=10.0, communication=5.0)
    1.05
    """
    _times(together=together, compute=compute, communication=communication)
    return together / max(compute, communication)


class Tax(NamedTuple):
    """What a computation loses with the SMs that it gives up: how much longer it `takes`, and what their share explains."""

    takes: float
    explained: float

    @property
    def beyond(self) -> float:
        """How much longer than the lost SMs explain; 1 is nothing beyond them."""
        return self.takes / self.explained


def sm_tax(on_the_rest: float, on_all: float, sms: int, reserved: int) -> Tax:
    """The tax of `reserved` SMs of `sms`, against sms / (sms - reserved).

    >>> tax = sm_tax(on_the_rest=12.0, on_all=10.0, sms=132, reserved=20)
    >>> f"{tax.takes:.3f} {tax.explained:.3f} {tax.beyond:.3f}"
    '1.200 1.179 1.018'
    """
    _times(on_the_rest=on_the_rest, on_all=on_all)
    if not 0 <= reserved < sms:
        raise InputError(
            "a reservation leaves SMs to computation", f"{reserved} of {sms}", f"{sms - 1}"
        )
    return Tax(on_the_rest / on_all, sms / (sms - reserved))


class Traffic(NamedTuple):
    """Bytes that the ranks of one GPU read and write in pieces of 16: `total` with every copy between buffers, `algorithmic`
    what any way must move."""

    total: int
    algorithmic: int


class Copies(NamedTuple):
    """How many copies of tokens go where, over all senders: to `nodes`, to `ranks`, and by a put over the rail (`puts`)."""

    nodes: int
    ranks: int
    puts: int


def copies(to_nodes: int, to_ranks: int, to_own_node: int, version: str) -> Copies:
    """The copies of a version: direct slots put to the own node too, queues write there at once.

    >>> copies(to_nodes=5, to_ranks=9, to_own_node=2, version="queues")
    Copies(nodes=5, ranks=9, puts=3)
    """
    if version not in ("direct", "queues"):
        raise InputError("a version is direct or queues", repr(version), "direct")
    if not 0 < to_nodes <= to_ranks or not 0 <= to_own_node <= to_nodes:
        raise InputError(
            "a token that goes to a node goes to a rank of it",
            f"{to_nodes} copies to nodes, {to_own_node} of them to the own one, {to_ranks} to ranks",
        )
    return Copies(to_nodes, to_ranks, to_nodes - (to_own_node if version == "queues" else 0))


def dispatch_traffic(made: Copies, message: int, row: int) -> Traffic:
    """What dispatch moves: a row is staged for each node, put there as a `message`, copied on to each rank, and brought to its
    place; each time it is read and written. At least it must be read and written once for each rank.

    >>> dispatch_traffic(Copies(nodes=2, ranks=3, puts=2), message=112, row=64)
    Traffic(total=1760, algorithmic=384)
    """
    nodes, ranks, puts = made
    return Traffic(2 * row * (nodes + ranks) + 2 * message * (puts + ranks), 2 * row * ranks)


def combine_traffic(made: Copies, tokens: int, row: int) -> Traffic:
    """The same for combine without weights: each rank's row is copied, the rows of a node become one, which is put home, where
    those of all nodes become one for each of the `tokens`.

    >>> combine_traffic(Copies(nodes=2, ranks=3, puts=2), tokens=1, row=64)
    Traffic(total=1152, algorithmic=256)
    """
    nodes, ranks, puts = made
    read, written = 2 * ranks + puts + nodes, ranks + nodes + puts + tokens
    return Traffic(row * (read + written), row * (ranks + tokens))


def rate(size: int, seconds: float) -> float:
    """Bytes a second in GB/s.

    >>> rate(3_000_000_000, 2.0)
    1.5
    """
    _times(seconds=seconds)
    return size / seconds / 1e9


class ToYardstick(NamedTuple):
    """A kernel's rate as a share of a plain copy's, by all bytes that it moves, and by those that must be moved."""

    total: float
    algorithmic: float


def to_yardstick(traffic: Traffic, seconds: float, copied: int, copy_seconds: float) -> ToYardstick:
    """Against a plain copy of `copied` bytes, each read and written, with the same SMs, in the same run.

    >>> to_yardstick(Traffic(total=800, algorithmic=200), 1.0, copied=500, copy_seconds=1.0)
    ToYardstick(total=0.8, algorithmic=0.2)
    """
    _times(seconds=seconds, copy_seconds=copy_seconds)
    if copied < 1:
        raise InputError("a yardstick copies something", f"{copied} bytes")
    pace = 2 * copied / copy_seconds
    return ToYardstick(traffic.total / seconds / pace, traffic.algorithmic / seconds / pace)


def knee(sms: Sequence[int], rates: Sequence[float], share: float = 0.95) -> int:
    """The fewest SMs that reach `share` of the best rate of a sweep.

    >>> knee([2, 4, 8, 16, 32], [25, 50, 96, 99, 100])
    8
    """
    if not sms or len(sms) != len(rates):
        raise InputError("a sweep has a rate for each number of SMs", f"{len(rates)} of {len(sms)}")
    best = max(rates)
    return min(one for one, value in zip(sms, rates, strict=True) if value >= share * best)


def repetitions(alone: float, other: float, ratio: float = 1.0) -> int:
    """How often something that takes `alone` is repeated to last at least `ratio` times as long as `other`.

    >>> repetitions(alone=2.0, other=9.0), repetitions(alone=2.0, other=0.1)
    (5, 1)
    """
    _times(alone=alone, other=other)
    return max(1, ceil(ratio * other / alone - 1e-9))


# Of the output of a matmul, that which a block makes: the one of cuBLAS's kernels for large bfloat16 matmuls on Hopper.
TILE = (128, 256)


def waves(side: int, sms: int, tile: tuple[int, int] = TILE) -> float:
    """Tiles of a square matmul for each SM. The last wave is not full: with ten, that is at most a tenth of the time.

    >>> round(waves(8192, 112), 1), round(waves(8192, 132), 1)
    (18.3, 15.5)
    """
    if side < 1 or sms < 1:
        raise InputError("a matmul has a side and SMs", f"side {side} on {sms} SMs")
    return ceil(side / tile[0]) * ceil(side / tile[1]) / sms


def _times(**named: float) -> None:
    for name, value in named.items():
        if not 0 < value < float("inf"):
            raise InputError("a time is positive and finite", f"{name} = {value}")
