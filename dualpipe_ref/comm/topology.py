"""Which GPU stands in which node, and which experts live there. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from dualpipe_ref.schedule.errors import InputError, require_int


@dataclass(frozen=True)
class Topology:
    """N nodes of L GPUs; rank = node * L + local. Experts are divided among ranks in blocks.

    GPUs of a node reach each other over NVLink; a GPU reaches the one of the same `local` in any other
    node over its own RDMA rail.

    >>> topology = Topology(nodes=2, gpus_per_node=4)
    >>> topology.ranks, topology.node_of(5), topology.local_of(5)
    (8, 1, 1)
    >>> topology.home_of(expert=13, experts=16)
    6
    """

    nodes: int
    gpus_per_node: int

    def __post_init__(self) -> None:
        require_int("nodes", self.nodes, 1)
        require_int("gpus_per_node", self.gpus_per_node, 1)

    @property
    def ranks(self) -> int:
        return self.nodes * self.gpus_per_node

    def node_of(self, rank: int) -> int:
        return rank // self.gpus_per_node

    def local_of(self, rank: int) -> int:
        return rank % self.gpus_per_node

    def experts_per_rank(self, experts: int) -> int:
        """E / R. Raises `InputError` unless every rank has equally many."""
        require_int("experts", experts, 1)
        if experts % self.ranks:
            nearest = max(1, round(experts / self.ranks)) * self.ranks
            raise InputError(
                f"every one of {self.ranks} ranks holds equally many experts",
                f"experts = {experts}",
                f"experts = {nearest}",
            )
        return experts // self.ranks

    def home_of(self, expert: int, experts: int) -> int:
        """The rank that holds an expert."""
        return expert // self.experts_per_rank(experts)
