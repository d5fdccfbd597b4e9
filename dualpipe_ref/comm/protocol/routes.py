"""Which rank wants which token, and what everybody knows from counting before the first message travels.

The counts of `comm.layout`, in plain Python, with the prefix sums over channels and sources that give each message its
place: so termination needs no end marks and results do not depend on timing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError


@dataclass(frozen=True)
class Routes:
    """The experts of every token of every rank, -1 for none, on a topology whose ranks hold `experts` in blocks.

    >>> routes = Routes(Topology(2, 1), 4, (((0, 3), (2, 3)), ()))
    >>> routes.wanted[0]
    ((0, 1), (1,))
    >>> routes.from_rank[1], routes.first_row[1]
    ((2, 0), (0, 2))
    """

    topology: Topology
    experts: int
    tokens: tuple[tuple[tuple[int, ...], ...], ...]

    def __post_init__(self) -> None:
        self.topology.experts_per_rank(self.experts)
        if len(self.tokens) != self.topology.ranks:
            raise InputError(
                "every rank has its tokens",
                f"tokens of {len(self.tokens)} ranks for {self.topology.ranks}",
            )
        for rank, mine in enumerate(self.tokens):
            for token, chosen in enumerate(mine):
                self._check(rank, token, chosen)

    def _check(self, rank: int, token: int, chosen: tuple[int, ...]) -> None:
        for expert in chosen:
            if not -1 <= expert < self.experts:
                raise InputError(
                    f"experts are numbered from 0 to {self.experts - 1}, -1 for none",
                    f"{expert} for token {token} of rank {rank}",
                    str(max(-1, min(expert, self.experts - 1))),
                )
        held = [expert for expert in chosen if expert >= 0]
        if len(set(held)) < len(held):
            raise InputError(
                "a token goes to each expert once", f"{chosen} for token {token} of rank {rank}"
            )

    @cached_property
    def wanted(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """For each token of each rank, the ranks that want it, in order."""
        held = self.topology.experts_per_rank(self.experts)
        return tuple(
            tuple(tuple(sorted({expert // held for expert in one if expert >= 0})) for one in mine)
            for mine in self.tokens
        )

    @cached_property
    def from_rank(self) -> tuple[tuple[int, ...], ...]:
        """[rank][source rank]: how many tokens a rank receives from each."""
        ranks = range(self.topology.ranks)
        return tuple(
            tuple(sum(rank in one for one in self.wanted[source]) for source in ranks)
            for rank in ranks
        )

    @cached_property
    def first_row(self) -> tuple[tuple[int, ...], ...]:
        """[rank][source rank]: the row at which what a rank receives from it begins."""
        return tuple(_starts(counts) for counts in self.from_rank)

    def locals_of(self, rank: int, token: int, node: int) -> tuple[int, ...]:
        """Which GPUs of a node want a token."""
        node_of, local_of = self.topology.node_of, self.topology.local_of
        return tuple(local_of(one) for one in self.wanted[rank][token] if node_of(one) == node)

    def nodes_of(self, rank: int, token: int) -> tuple[int, ...]:
        """Which nodes want a token, each once."""
        return tuple(sorted({self.topology.node_of(one) for one in self.wanted[rank][token]}))

    def channel(self, rank: int, channel: int, channels: int) -> range:
        """The tokens of a channel: a contiguous range, equally many in each but the last ones."""
        count = len(self.tokens[rank])
        share = -(-count // channels)
        return range(min(channel * share, count), min(channel * share + share, count))

    def to_rank_before(self, rank: int, target: int, channel: int, channels: int) -> int:
        """How many tokens go to `target` in the channels before this one."""
        before = self.channel(rank, channel, channels).start if channel < channels else None
        return sum(target in one for one in self.wanted[rank][:before])

    def to_node_before(self, rank: int, node: int, channel: int, channels: int) -> int:
        """How many tokens go to a node in the channels before this one."""
        before = self.channel(rank, channel, channels).start if channel < channels else None
        count = len(self.tokens[rank][:before])
        return sum(node in self.nodes_of(rank, token) for token in range(count))


def _starts(counts: Sequence[int]) -> tuple[int, ...]:
    return tuple(sum(counts[:at]) for at in range(len(counts)))
