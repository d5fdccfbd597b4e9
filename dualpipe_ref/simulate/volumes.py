"""What experts on other devices cost: how far a token spreads, how many bytes cross each link, and how long that takes.

Standard library only. Routes are those of DeepSeek-V3 (arXiv:2412.19437, section 3.2.2): a token crosses RDMA once for each
other node, to the GPU of the same place there, and then NVLink once for each other GPU of that node that needs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.simulate.costs import Number

SCALED = 128  # numbers of one byte that share a scale, a float32 (V3 report, section 3.3.2)
ALIGNED = 16  # bytes: a message begins where one such load can begin
WORD = 4  # bytes of an expert's number, of a weight and of a scale


@dataclass(frozen=True)
class ExpertGrid:
    """E experts in blocks on N nodes of L GPUs; a token goes to K of them, on at most `node_limit` nodes.

    Raises `InputError` where the experts cannot be divided, or the nodes of one token hold too few.

    >>> ExpertGrid(nodes=8, gpus_per_node=8, experts=250, experts_per_token=8, node_limit=4)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: every one of 64 GPUs holds equally many experts; got experts = 250; nearest legal: experts = 256
    """

    nodes: int = 8
    gpus_per_node: int = 8
    experts: int = 256
    experts_per_token: int = 8
    node_limit: int = 4

    def __post_init__(self) -> None:
        for name in ("nodes", "gpus_per_node", "experts", "experts_per_token", "node_limit"):
            require_int(name, getattr(self, name), 1)
        if self.experts % self.gpus:
            raise InputError(
                f"every one of {self.gpus} GPUs holds equally many experts",
                f"experts = {self.experts}",
                f"experts = {max(1, round(self.experts / self.gpus)) * self.gpus}",
            )
        if self.node_limit > self.nodes:
            raise InputError(
                "a token goes to no more nodes than there are",
                f"node_limit = {self.node_limit}",
                f"node_limit = {self.nodes}",
            )
        most = self.node_limit * self.experts // self.nodes
        if self.experts_per_token > most:
            raise InputError(
                f"{self.node_limit} nodes hold {most} experts",
                f"experts_per_token = {self.experts_per_token}",
                f"experts_per_token = {most}",
            )

    @property
    def gpus(self) -> int:
        """R = N L."""
        return self.nodes * self.gpus_per_node


class Spread(NamedTuple):
    """How many nodes and how many GPUs a token reaches, in the mean."""

    nodes: Number
    gpus: Number


def expected_spread(grid: ExpertGrid) -> Spread:
    """The spread if each token's nodes, then its experts in them, are drawn evenly; exact.

    Without a limit (`node_limit` = `nodes`) it is that of any scores that are independent and alike. A gate that takes the
    nodes with the best experts spreads further: it avoids nodes that hold none of the best.

    >>> [round(float(number), 2) for number in expected_spread(ExpertGrid())]
    [3.63, 7.36]
    """
    of_gpu = grid.experts // grid.gpus
    of_node = of_gpu * grid.gpus_per_node
    pool = grid.node_limit * of_node
    draws = comb(pool, grid.experts_per_token)

    def reached(held: int) -> Fraction:
        """The chance that one of the drawn experts is among these `held` ones."""
        return 1 - Fraction(comb(pool - held, grid.experts_per_token), draws)

    return Spread(
        grid.node_limit * reached(of_node),
        grid.node_limit * grid.gpus_per_node * reached(of_gpu),
    )


class Copies(NamedTuple):
    """How often one token crosses each link, in the mean over tokens and senders."""

    rdma: Number
    nvlink: Number


def copies(grid: ExpertGrid, spread: Spread, *, aggregated: bool = True) -> Copies:
    """What crosses a link of what a token reaches: its own node needs no RDMA, the GPU at the sender's place no NVLink.

    Not `aggregated`, every GPU of another node gets its copy from the sender, over RDMA; NVLink serves the own node.

    >>> [round(float(number), 2) for number in copies(ExpertGrid(), Spread(Fraction(4), Fraction(8)))]
    [3.5, 7.0]
    """
    elsewhere = Fraction(grid.nodes - 1, grid.nodes)
    other_place = Fraction(grid.gpus_per_node - 1, grid.gpus_per_node)
    if aggregated:
        return Copies(spread.nodes * elsewhere, spread.gpus * other_place)
    return Copies(spread.gpus * elsewhere, spread.gpus * (1 - elsewhere) * other_place)


class Hop(NamedTuple):
    """One crossing of a token: from rank to rank, over RDMA or over NVLink."""

    source: int
    target: int
    rdma: bool


def hops(
    sender: int, wanted: Iterable[int], gpus_per_node: int, *, aggregated: bool = True
) -> list[Hop]:
    """How one token comes from its sender to all GPUs that want it (rank = node * L + place); see `copies`.

    >>> hops(0, [3, 6, 7], gpus_per_node=4)
    [Hop(source=0, target=3, rdma=False), Hop(source=0, target=4, rdma=True), Hop(source=4, target=6, rdma=False), Hop(source=4, target=7, rdma=False)]
    >>> [hop[:2] for hop in hops(0, [3, 6, 7], gpus_per_node=4, aggregated=False)]
    [(0, 3), (0, 6), (0, 7)]
    """
    here, place = divmod(sender, gpus_per_node)
    found, entered = [], {here}
    for rank in sorted(set(wanted)):
        node = rank // gpus_per_node
        if not aggregated and node != here:
            found.append(Hop(sender, rank, rdma=True))
            continue
        entry = node * gpus_per_node + place
        if node not in entered:
            entered.add(node)
            found.append(Hop(sender, entry, rdma=True))
        if rank != entry:
            found.append(Hop(entry, rank, rdma=False))
    return found


def dispatch_bytes(hidden: int, experts_per_token: int, bytes_per_number: int) -> int:
    """One token's message on its way to experts: numbers, scales if they have one byte, source, experts and weights.

    >>> dispatch_bytes(7168, 8, 1)
    7472
    """
    scales = -(-hidden // SCALED) * WORD if bytes_per_number == 1 else 0
    return _aligned(hidden * bytes_per_number + scales + 2 * WORD + 2 * WORD * experts_per_token)


def combine_bytes(hidden: int, experts_per_token: int, bytes_per_number: int) -> int:
    """One message on its way back: numbers, source and weights.

    >>> combine_bytes(7168, 8, 2)
    14384
    """
    return _aligned(hidden * bytes_per_number + 2 * WORD + WORD * experts_per_token)


def _aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


@dataclass(frozen=True)
class Links:
    """What one GPU can send, in GB/s: over RDMA to other nodes, over NVLink inside its own."""

    rdma: Number = 50
    nvlink: Number = 160

    def __post_init__(self) -> None:
        for name in ("rdma", "nvlink"):
            if getattr(self, name) <= 0:
                raise InputError(
                    "a link carries something", f"{name} = {getattr(self, name)}", f"{name} = 1"
                )


class Volume(NamedTuple):
    """What one GPU sends in a dispatch or a combine: bytes and milliseconds on each link."""

    rdma_bytes: Number
    nvlink_bytes: Number
    rdma_ms: Number
    nvlink_ms: Number

    @property
    def ms(self) -> Number:
        """Of the slower link: both work at once, like two stages of a pipeline."""
        return max(self.rdma_ms, self.nvlink_ms)


def volume(crossing: Copies, tokens: int, message: int, links: Links) -> Volume:
    """What `tokens` messages of so many bytes cost a GPU, if all GPUs have as many.

    >>> found = volume(copies(ExpertGrid(), expected_spread(ExpertGrid())), 4096, 7472, Links())
    >>> round(float(found.rdma_bytes) / 1e6, 1), round(float(found.rdma_ms), 2), round(float(found.nvlink_ms), 2)
    (97.2, 1.94, 1.23)
    """
    rdma, nvlink = (tokens * message * number for number in crossing)
    return Volume(rdma, nvlink, rdma / (links.rdma * 10**6), nvlink / (links.nvlink * 10**6))
