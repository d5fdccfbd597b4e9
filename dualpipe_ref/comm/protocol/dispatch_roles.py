"""The roles of dispatch: from a rank's tokens over RDMA to the GPU of the same place, and from there over NVLink.

A token that several GPUs of a node want crosses RDMA once. Each role knows from counts when it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dualpipe_ref.comm.protocol.links import NvlLane, RdmaLink, give_back, publish, raised
from dualpipe_ref.comm.protocol.operations import (
    ENDLESS,
    PRESENT,
    Location,
    PutWord,
    Record,
    Steps,
    Store,
    at_least,
    first_of,
    read_message,
    values_at_least,
    write_message,
)
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.protocol.window import Completion, Finish


class Token(NamedTuple):
    """The payload of a message, symbolically: which token of which rank (and its node), for which GPUs of a node."""

    rank: int
    token: int
    node: int
    locals: tuple[int, ...]


class Meta(NamedTuple):
    """What one node is told by another before the first message: first and last row for each of its GPUs, and for the
    rail. Each word is its own message: a count v travels as -v-1."""

    starts: tuple[Location, ...]
    ends: tuple[Location, ...]
    rail: tuple[Location, Location]

    @property
    def words(self) -> tuple[Location, ...]:
        return (*self.starts, *self.ends, *self.rail)


class Outgoing(NamedTuple):
    """One destination node, seen from a rank's senders."""

    node: int
    link: RdmaLink
    meta: Meta
    completion: Completion
    # The counts that meta's words tell, in their order, and how many messages of the channel go there.
    counts: tuple[int, ...]
    total: int


def publish_meta(outgoing: Outgoing) -> Steps:
    """Tell a node its counts, each word for itself."""
    for word, count in zip(outgoing.meta.words, outgoing.counts, strict=True):
        if outgoing.link.data is None:
            yield Store("dispatch.sender.meta", word, -count - 1)
        else:
            yield PutWord("dispatch.sender.meta", outgoing.link.data, word, -count - 1)


def sender(
    warp: int,
    tokens: Sequence[Token],
    nodes: Sequence[Outgoing],
    wanted: Sequence[Sequence[tuple[int, ...]]],
    record: Location,
    sizes: Sizes,
    finish: Finish,
) -> Steps:
    """Write every `senders`-th token into the ring of each node that wants it; count all of them.

    `wanted[i][n]` are the GPUs of node n that want token i.
    """
    for outgoing in nodes[warp :: sizes.senders]:
        yield from publish_meta(outgoing)
    counters = (0,) * len(nodes)
    for at in range(len(tokens)):
        there = tuple(node for node in range(len(nodes)) if wanted[at][node])
        if at % sizes.senders == warp:
            yield at_least(
                "dispatch.sender.credit",
                *((nodes[n].link.head, counters[n] - sizes.rdma_ring + 1) for n in there),
            )
            heads = tuple(counters[n] if wanted[at][n] else -1 for n in range(len(nodes)))
            yield Record("dispatch.sender.record", record, (tokens[at].token, heads))
            for node in there:
                payload = tokens[at]._replace(locals=wanted[at][node])
                slot = nodes[node].link.staging.slot(counters[node])
                yield from write_message("dispatch.sender.slot", slot, counters[node], payload)
            for node in there:
                yield from finish(counters[node], nodes[node].completion, sizes.window)
        counters = tuple(count + bool(wanted[at][n]) for n, count in enumerate(counters))


def sender_coordinator(nodes: Sequence[Outgoing], sizes: Sizes) -> Steps:
    """Put what is staged, a chunk at a time; less only where nothing more comes."""
    issued = (0,) * len(nodes)
    while any(issued[at.node] < at.total for at in nodes):
        node, (staged,) = yield first_of(
            "dispatch.sender_coordinator.staged",
            {
                at.node: (
                    (at.completion.staged, min(issued[at.node] + sizes.rdma_chunk, at.total)),
                )
                for at in nodes
                if issued[at.node] < at.total
            },
        )
        count = min(staged - issued[node], sizes.rdma_chunk)
        yield from publish("dispatch.sender_coordinator", nodes[node].link, issued[node], count)
        issued = raised(issued, node, count)


class Incoming(NamedTuple):
    """One source node, seen from a rank's forwarders."""

    node: int
    link: RdmaLink
    meta: Meta
    # [destination GPU]: how far its forwarder has come in this node's ring.
    passed: tuple[Location, ...]


class Prefixes(NamedTuple):
    """What a receiver is told of each source node: its first and last row, as -v-1."""

    starts: tuple[Location, ...]
    ends: tuple[Location, ...]


def forwarder(
    target: int,
    nodes: Sequence[Incoming],
    lane: NvlLane,
    prefixes: Prefixes,
    records: Sequence[Location],
    sizes: Sizes,
) -> Steps:
    """Read every message of every source node and copy those for GPU `target` into its NVLink ring."""
    left: tuple[int, ...] = ()
    for at in nodes:
        words = (at.meta.starts[target], at.meta.ends[target], *at.meta.rail)
        _, seen = yield values_at_least(
            "dispatch.forwarder.meta", *((word, PRESENT) for word in words)
        )
        start, end, rail_start, rail_end = (-value - 1 for value in seen)
        yield Store("dispatch.forwarder.prefix", prefixes.starts[at.node], -start - 1)
        yield Store("dispatch.forwarder.prefix", prefixes.ends[at.node], -end - 1)
        left = (*left, rail_end - rail_start)
    for at in nodes:
        if not left[at.node]:
            yield Store("dispatch.forwarder.passed", at.passed[target], ENDLESS)
    yield from _forward(target, nodes, lane, records, sizes, left)


def _forward(
    target: int,
    nodes: Sequence[Incoming],
    lane: NvlLane,
    records: Sequence[Location],
    sizes: Sizes,
    totals: tuple[int, ...],
) -> Steps:
    passed = forwarded = (0,) * len(nodes)
    sent = 0
    while passed != totals:
        yield at_least(
            "dispatch.forwarder.room", (lane.head, sent + sizes.nvl_chunk - len(lane.ring.slots))
        )
        node, (tail,) = yield first_of(
            "dispatch.forwarder.rdma_tail",
            {
                at.node: ((at.link.tail, passed[at.node] + 1),)
                for at in nodes
                if passed[at.node] < totals[at.node]
            },
        )
        limit = sent + sizes.nvl_chunk
        before = sent
        for counter in range(passed[node], tail):
            if sent == limit:
                break
            slot = nodes[node].link.ring.slot(counter)
            token = yield from read_message("dispatch.forwarder.rdma_slot", slot, counter)
            is_mine = target in token.locals
            place = forwarded[node] if is_mine else -1
            yield Record("dispatch.forwarder.record", records[node], place)
            if is_mine:
                forwarded = raised(forwarded, node, 1)
                nvl_slot = lane.ring.slot(sent)
                yield from write_message("dispatch.forwarder.nvl_slot", nvl_slot, sent, token)
                sent += 1
            passed = raised(passed, node, 1)
        place = ENDLESS if passed[node] == totals[node] else passed[node]
        yield Store("dispatch.forwarder.passed", nodes[node].passed[target], place)
        if sent > before:
            yield Store("dispatch.forwarder.nvl_tail", lane.tail, sent)


def forwarder_coordinator(source: Incoming, sizes: Sizes) -> Steps:
    """One lane of it: give a node its slots back when every forwarder has passed them, a chunk or more at a time."""
    reported = 0
    while reported < ENDLESS:
        site = "dispatch.forwarder_coordinator.passed"
        _, places = yield values_at_least(
            site, *((word, reported + sizes.rdma_chunk) for word in source.passed)
        )
        free = min(places)
        if free < ENDLESS:
            site = "dispatch.forwarder_coordinator.credit"
            yield from give_back(site, source.link, free - reported)
        reported = free


def receiver(
    lane: NvlLane, prefixes: Prefixes, first_rows: Sequence[int], record: Location
) -> Steps:
    """Take what one GPU of the node forwards, and put each token into its row.

    `first_rows[n]` is where what comes from node n (and this GPU's rail) begins.
    """
    words = (*prefixes.starts, *prefixes.ends)
    _, seen = yield values_at_least(
        "dispatch.receiver.prefix", *((word, PRESENT) for word in words)
    )
    nodes = len(prefixes.starts)
    starts = tuple(-value - 1 for value in seen[:nodes])
    total = sum(-value - 1 for value in seen[nodes:]) - sum(starts)
    rows = tuple(first + start for first, start in zip(first_rows, starts, strict=True))
    yield Record("dispatch.receiver.record", record, rows)
    taken = 0
    while taken < total:
        _, (tail,) = yield values_at_least("dispatch.receiver.nvl_tail", (lane.tail, taken + 1))
        for counter in range(taken, tail):
            token = yield from read_message(
                "dispatch.receiver.nvl_slot", lane.ring.slot(counter), counter
            )
            yield Record("dispatch.receiver.record", record, (rows[token.node], token))
            rows = raised(rows, token.node, 1)
        taken = tail
        yield Store("dispatch.receiver.credit", lane.head, taken)
