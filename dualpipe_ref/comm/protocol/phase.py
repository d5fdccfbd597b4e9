"""What the worlds of dispatch and combine have in common: who sits where, and what things are called."""

from __future__ import annotations

from dualpipe_ref.comm.protocol.routes import Routes
from dualpipe_ref.comm.protocol.sizes import Sizes


class Phase:
    """Ranks, nodes and channels of `routes` and `sizes`."""

    routes: Routes
    sizes: Sizes

    @property
    def nodes(self) -> range:
        return range(self.routes.topology.nodes)

    @property
    def locals(self) -> range:
        return range(self.routes.topology.gpus_per_node)

    @property
    def ranks(self) -> range:
        return range(self.routes.topology.ranks)

    @property
    def channels(self) -> range:
        return range(self.sizes.channels)

    def rank(self, node: int, local: int) -> int:
        return node * len(self.locals) + local

    def rail(self, rank: int) -> list[int]:
        """The ranks of the same place in every node."""
        return [self.rank(node, rank % len(self.locals)) for node in self.nodes]

    def node_mates(self, rank: int) -> list[int]:
        return [self.rank(rank // len(self.locals), local) for local in self.locals]

    def _name(self, source: int, target: int, channel: int) -> str:
        return f"rank {source} to {target}" + (f" channel {channel}" if channel else "")

    def _role_name(self, role: str, rank: int, channel: int) -> str:
        return f"{role}, rank {rank}" + (f", channel {channel}" if channel else "")
