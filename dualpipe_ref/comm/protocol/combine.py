"""Combine as a world: all of its memory, queue pairs and roles, and the oracle that a finished run is held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from dualpipe_ref.comm.protocol import combine_roles as roles
from dualpipe_ref.comm.protocol.combine_roles import LargeWarp, Row
from dualpipe_ref.comm.protocol.heads import Handle, encoded_lanes
from dualpipe_ref.comm.protocol.links import NvlLane, RdmaLink, nvl_lane, rdma_link
from dualpipe_ref.comm.protocol.operations import Location
from dualpipe_ref.comm.protocol.oracle import combine_fault, rows_of
from dualpipe_ref.comm.protocol.phase import Phase
from dualpipe_ref.comm.protocol.routes import Routes
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.protocol.world import Place, Records, World


@dataclass
class Combine(Phase):
    """What combine of the rows consists of that a dispatch of `routes` left on each rank.

    >>> from dualpipe_ref.comm.protocol import Dispatch, Routes, Sizes, handle_of, run
    >>> from dualpipe_ref.comm.topology import Topology
    >>> routes = Routes(Topology(nodes=2, gpus_per_node=2), 4, (((0, 2, 3), (1,)), (), (), ()))
    >>> dispatch = Dispatch(routes, Sizes())
    >>> handle = handle_of(dispatch, run(dispatch.world, seed=0).records)
    >>> combine = Combine(routes, Sizes(), handle)
    >>> outcome = run(combine.world, seed=0)
    >>> combine.sums(outcome.records)[0]
    [((0,), (2, 3)), ((1,),)]
    """

    routes: Routes
    sizes: Sizes
    handle: Handle
    pre_pass: Callable[[Sequence[Sequence[int]]], tuple[tuple[int, ...], ...]] = encoded_lanes
    world: World = field(init=False, default_factory=World)

    def __post_init__(self) -> None:
        # Keyed by (source rank, target rank, channel).
        self.links: dict[tuple[int, int, int], RdmaLink] = {}
        # The same, with the node for which the sub-ring is.
        self.lanes: dict[tuple[int, int, int, int], NvlLane] = {}
        self.added: dict[tuple[int, int], list[Location]] = {}
        self.rows = {rank: rows_of(self.routes, rank) for rank in self.ranks}
        for channel in self.channels:
            self._lay_out(channel)
        for channel in self.channels:
            for rank in self.ranks:
                for local in self.locals:
                    self._add_sender(rank, local, channel)
                self._add_forwarders(rank, channel)
                self._add_receivers(rank, channel)
        self.world.check = self.fault

    def _lay_out(self, channel: int) -> None:
        world, sizes = self.world, self.sizes
        for rank in self.ranks:
            for peer in self.rail(rank):
                name = self._name(rank, peer, channel)
                self.links[rank, peer, channel] = rdma_link(
                    world, name, sizes.rdma_ring, sizes.parts, peer == rank
                )
            for peer in self.node_mates(rank):
                for node in self.nodes:
                    name = f"{self._name(rank, peer, channel)} for node {node}"
                    self.lanes[rank, peer, channel, node] = nvl_lane(
                        world, name, sizes.sub_ring, sizes.parts
                    )

    def _rows(self, rank: int, local: int, channel: int) -> list[list[Row]]:
        """For each node the rows that go back to its GPU `local` through a channel: up to where the next ones begin."""
        first = self.handle.first_row
        starts = [first[rank, peer, one] for peer in self.ranks for one in self.channels]
        starts.append(len(self.rows[rank]))
        found = []
        for node in self.nodes:
            at = self.rank(node, local) * len(self.channels) + channel
            mine = self.rows[rank][starts[at] : starts[at + 1]]
            found.append([Row(source, token, rank) for source, token in mine])
        return found

    def _add_sender(self, rank: int, local: int, channel: int) -> None:
        peer = self.rank(rank // len(self.locals), local)
        lanes = [self.lanes[rank, peer, channel, node] for node in self.nodes]
        self.world.role(
            self._role_name(f"sender to GPU {local}", rank, channel),
            Place(rank, f"senders {channel}"),
            partial(roles.nvl_sender, self._rows(rank, local, channel), lanes, self.sizes),
            reads=[lane.head for lane in lanes],
            writes=[(lane.ring.slots, lane.tail) for lane in lanes],
        )

    def _large_warp(self, rank: int, peer: int, channel: int) -> LargeWarp:
        node = peer // len(self.locals)
        return LargeWarp(
            node,
            self.links[rank, peer, channel],
            tuple(self.lanes[mate, rank, channel, node] for mate in self.node_mates(rank)),
            self.pre_pass(self.handle.forwarded[rank, channel, node]),
            tuple(
                self._freed(
                    f"forwarder for node {node}",
                    f"GPU {lane}",
                    rank,
                    channel,
                    self.sizes.large_warp,
                )
                for lane in self.locals
            ),
            self.world.word(self._role_name(f"arrived for node {node}", rank, channel)),
        )

    def _freed(
        self, role: str, lane: str, rank: int, channel: int, warps: int
    ) -> tuple[Location, ...]:
        return tuple(
            self.world.word(
                self._role_name(f"freed of {lane} by {role} warp {warp}", rank, channel)
            )
            for warp in range(warps)
        )

    def _add_forwarders(self, rank: int, channel: int) -> None:
        place = Place(rank, f"forwarders {channel}")
        large_warps = [self._large_warp(rank, peer, channel) for peer in self.rail(rank)]
        for large in large_warps:
            link = large.link
            for warp in range(self.sizes.large_warp):
                self.world.role(
                    self._role_name(f"forwarder {warp} for node {large.node}", rank, channel),
                    place,
                    partial(roles.forwarder, warp, large, self.sizes),
                    reads=[
                        link.head,
                        link.staging.slots,
                        large.arrived,
                        [(lane.tail, lane.ring.slots) for lane in large.lanes],
                    ],
                    writes=[
                        link.staging.slots,
                        link.ring.slots,
                        link.tail,
                        large.arrived,
                        [of_lane[warp] for of_lane in large.freed],
                    ],
                )
            self._add_coordinators(large, rank, channel)

    def _add_coordinators(self, large: LargeWarp, rank: int, channel: int) -> None:
        for local, (freed, lane) in enumerate(zip(large.freed, large.lanes, strict=True)):
            name = f"forwarder coordinator for node {large.node} and GPU {local}"
            self.world.role(
                self._role_name(name, rank, channel),
                Place(rank, f"forwarders {channel}"),
                partial(roles.forwarder_coordinator, freed, lane.head),
                reads=freed,
                writes=[lane.head],
            )

    def _add_receivers(self, rank: int, channel: int) -> None:
        place, warps = Place(rank, f"senders {channel}"), self.sizes.receivers
        links = [self.links[peer, rank, channel] for peer in self.rail(rank)]
        freed = [
            self._freed("receiver", f"node {node}", rank, channel, warps) for node in self.nodes
        ]
        heads = self.pre_pass(self.handle.sent[rank, channel])
        first = self.routes.channel(rank, channel, len(self.channels)).start
        self.added[rank, channel] = [
            self.world.record(self._role_name(f"sums of receiver {warp}", rank, channel))
            for warp in range(warps)
        ]
        for warp, record in enumerate(self.added[rank, channel]):
            self.world.role(
                self._role_name(f"receiver {warp}", rank, channel),
                place,
                partial(roles.receiver, warp, first, heads, links, freed, record, self.sizes),
                reads=[(link.tail, link.ring.slots) for link in links],
                writes=[record, [of_node[warp] for of_node in freed]],
            )
        for node, (link, of_node) in enumerate(zip(links, freed, strict=True)):
            self.world.role(
                self._role_name(f"receiver coordinator for node {node}", rank, channel),
                place,
                partial(roles.receiver_coordinator, link, of_node, self.sizes),
                reads=of_node,
                writes=[link.head],
            )

    # After a run

    def sums(self, records: Records) -> list[list[tuple[tuple[int, ...], ...] | None]]:
        """For each rank's tokens what was added: for each node, in order, its ranks, in order."""
        found = []
        for rank in self.ranks:
            mine: list[tuple[tuple[int, ...], ...] | None] = [None] * len(self.routes.tokens[rank])
            for channel in self.channels:
                for record in self.added[rank, channel]:
                    for token, row in records[record]:
                        mine[token] = row.terms
            found.append(mine)
        return found

    def fault(self, records: Records) -> str | None:
        """Which token's sum is not the oracle's; None if all are."""
        return combine_fault(self, records)
