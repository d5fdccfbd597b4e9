"""Dispatch as a world: all of its memory, queue pairs and roles, and the oracle that a finished run is held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from dualpipe_ref.comm.protocol import dispatch_roles as roles
from dualpipe_ref.comm.protocol.dispatch_roles import Incoming, Meta, Outgoing, Prefixes, Token
from dualpipe_ref.comm.protocol.links import NvlLane, RdmaLink, nvl_lane, rdma_link
from dualpipe_ref.comm.protocol.operations import Location
from dualpipe_ref.comm.protocol.oracle import dispatch_fault
from dualpipe_ref.comm.protocol.phase import Phase
from dualpipe_ref.comm.protocol.routes import Routes
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.protocol.window import Completion, Finish, completion, finish_in_order
from dualpipe_ref.comm.protocol.world import Place, Records, World


@dataclass
class Dispatch(Phase):
    """What dispatch of `routes` consists of. Give `world` to `run` or `explore`; `handle` then reads what combine needs.

    >>> from dualpipe_ref.comm.protocol import Routes, Sizes, run
    >>> from dualpipe_ref.comm.topology import Topology
    >>> routes = Routes(Topology(nodes=2, gpus_per_node=2), 4, (((0, 3), (2, 3)), (), ((1,),), ()))
    >>> dispatch = Dispatch(routes, Sizes())
    >>> outcome = run(dispatch.world, seed=3)
    >>> outcome.kind
    'finished'
    >>> [(token.rank, token.token) for token in dispatch.received(outcome.records)[3]]
    [(0, 0), (0, 1)]
    """

    routes: Routes
    sizes: Sizes
    finish: Finish = finish_in_order
    world: World = field(init=False, default_factory=World)

    def __post_init__(self) -> None:
        # Keyed by (source rank, target rank, channel).
        self.links: dict[tuple[int, int, int], RdmaLink] = {}
        self.metas: dict[tuple[int, int, int], Meta] = {}
        self.lanes: dict[tuple[int, int, int], NvlLane] = {}
        self.prefixes: dict[tuple[int, int, int], Prefixes] = {}
        # Keyed by (rank, channel): what its warps record.
        self.sent: dict[tuple[int, int], list[Location]] = {}
        self.taken: dict[tuple[int, int], list[Location]] = {}
        # Keyed by (rank, channel, source node): one record for each destination GPU.
        self.forwarded: dict[tuple[int, int, int], list[Location]] = {}
        for channel in self.channels:
            self._lay_out(channel)
        for channel in self.channels:
            for rank in self.ranks:
                self._add_roles(rank, channel)
        self.world.check = self.fault

    def _lay_out(self, channel: int) -> None:
        world, sizes = self.world, self.sizes
        for rank in self.ranks:
            for peer in self.rail(rank):
                name, key = self._name(rank, peer, channel), (rank, peer, channel)
                self.links[key] = rdma_link(world, name, sizes.rdma_ring, sizes.parts, peer == rank)
                self.metas[key] = self._meta(name)
            for peer in self.node_mates(rank):
                name, key = self._name(rank, peer, channel), (rank, peer, channel)
                self.lanes[key] = nvl_lane(world, name, sizes.nvl_ring, sizes.parts)
                self.prefixes[key] = Prefixes(
                    *(
                        tuple(
                            world.word(f"{name} {end} of node {n}", once=True) for n in self.nodes
                        )
                        for end in ("start", "end")
                    )
                )
            self.sent[rank, channel] = [
                world.record(f"rank {rank} sender {warp} heads") for warp in range(sizes.senders)
            ]
            self.taken[rank, channel] = [
                world.record(f"rank {rank} rows from GPU {local}") for local in self.locals
            ]
            for node in self.nodes:
                self.forwarded[rank, channel, node] = [
                    world.record(f"rank {rank} heads from node {node} for GPU {local}")
                    for local in self.locals
                ]

    def _meta(self, name: str) -> Meta:
        def word(what: str) -> Location:
            return self.world.word(f"{name} {what}", once=True)

        return Meta(
            tuple(word(f"start for GPU {local}") for local in self.locals),
            tuple(word(f"end for GPU {local}") for local in self.locals),
            (word("rail start"), word("rail end")),
        )

    def _add_roles(self, rank: int, channel: int) -> None:
        self._add_senders(rank, channel)
        self._add_forwarders(rank, channel)
        for source in self.node_mates(rank):
            self._add_receiver(rank, source, channel)

    def outgoing(self, rank: int, peer: int, channel: int, window: Completion) -> Outgoing:
        routes, channels, node = self.routes, len(self.channels), peer // len(self.locals)
        ends = [channel, channel + 1]
        to_rank = [
            [
                routes.to_rank_before(rank, self.rank(node, local), end, channels)
                for local in self.locals
            ]
            for end in ends
        ]
        rail = [routes.to_node_before(rank, node, end, channels) for end in ends]
        key = rank, peer, channel
        counts = (*to_rank[0], *to_rank[1], *rail)
        return Outgoing(node, self.links[key], self.metas[key], window, counts, rail[1] - rail[0])

    def _add_senders(self, rank: int, channel: int) -> None:
        routes, sizes, place = self.routes, self.sizes, Place(rank, f"senders {channel}")
        outgoing = [
            self.outgoing(
                rank, peer, channel, completion(self.world, self._name(rank, peer, channel))
            )
            for peer in self.rail(rank)
        ]
        node = rank // len(self.locals)
        mine = routes.channel(rank, channel, len(self.channels))
        tokens = [Token(rank, token, node, ()) for token in mine]
        wanted = [[routes.locals_of(rank, token, n) for n in self.nodes] for token in mine]
        windows = [at.completion for at in outgoing]
        for warp, record in enumerate(self.sent[rank, channel]):
            self.world.role(
                self._role_name(f"sender {warp}", rank, channel),
                place,
                partial(roles.sender, warp, tokens, outgoing, wanted, record, sizes, self.finish),
                reads=[[at.link.head for at in outgoing], windows],
                writes=[
                    [(at.link.staging.slots, at.meta.words) for at in outgoing],
                    windows,
                    record,
                ],
            )
        self.world.role(
            self._role_name("sender coordinator", rank, channel),
            place,
            partial(roles.sender_coordinator, outgoing, sizes),
            reads=[[at.staged for at in windows], [at.link.staging.slots for at in outgoing]],
            writes=[[(at.link.ring.slots, at.link.tail) for at in outgoing]],
        )

    def _add_forwarders(self, rank: int, channel: int) -> None:
        place = Place(rank, f"forwarders {channel}")
        incoming = [
            Incoming(
                node,
                self.links[peer, rank, channel],
                self.metas[peer, rank, channel],
                tuple(
                    self.world.word(
                        self._role_name(
                            f"place of forwarder {local} in node {node}'s ring", rank, channel
                        )
                    )
                    for local in self.locals
                ),
            )
            for node, peer in enumerate(self.rail(rank))
        ]
        for local, peer in enumerate(self.node_mates(rank)):
            lane, prefixes = self.lanes[rank, peer, channel], self.prefixes[rank, peer, channel]
            records = [self.forwarded[rank, channel, node][local] for node in self.nodes]
            self.world.role(
                self._role_name(f"forwarder to GPU {local}", rank, channel),
                place,
                partial(roles.forwarder, local, incoming, lane, prefixes, records, self.sizes),
                reads=[
                    lane.head,
                    [(at.meta.words, at.link.tail, at.link.ring.slots) for at in incoming],
                ],
                writes=[
                    prefixes,
                    records,
                    lane.ring.slots,
                    lane.tail,
                    [at.passed[local] for at in incoming],
                ],
            )
        for at in incoming:
            self.world.role(
                self._role_name(f"forwarder coordinator for node {at.node}", rank, channel),
                place,
                partial(roles.forwarder_coordinator, at, self.sizes),
                reads=at.passed,
                writes=[at.link.head],
            )

    def _add_receiver(self, rank: int, source: int, channel: int) -> None:
        key, local = (source, rank, channel), source % len(self.locals)
        lane, prefixes = self.lanes[key], self.prefixes[key]
        first = [self.routes.first_row[rank][peer] for peer in self.rail(source)]
        record = self.taken[rank, channel][local]
        self.world.role(
            self._role_name(f"receiver from GPU {local}", rank, channel),
            Place(rank, f"senders {channel}"),
            partial(roles.receiver, lane, prefixes, first, record),
            reads=[prefixes, lane.ring.slots, lane.tail],
            writes=[lane.head, record],
        )

    # After a run

    def received(self, records: Records) -> list[list[Token | None]]:
        """For each rank its rows, None where one was never written."""
        found = []
        for rank in self.ranks:
            rows: list[Token | None] = [None] * sum(self.routes.from_rank[rank])
            for channel in self.channels:
                for record in self.taken[rank, channel]:
                    for row, token in records[record][1:]:
                        rows[row] = token
            found.append(rows)
        return found

    def fault(self, records: Records) -> str | None:
        """What is lost, doubled, or in another row than the oracle has it; None if nothing is."""
        return dispatch_fault(self, records)
