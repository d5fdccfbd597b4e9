"""The roles of combine: each row goes back the way that its token came, and is added up at two places on it.

Inside a node rows of one token become one row, which alone crosses RDMA; at its source the nodes' rows are added. Both
sums go in the order of lanes, whatever arrives first.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol.heads import freed_before
from dualpipe_ref.comm.protocol.links import (
    NvlLane,
    RdmaLink,
    give_back,
    publish,
    raised,
)
from dualpipe_ref.comm.protocol.operations import (
    ENDLESS,
    Add,
    Broken,
    Location,
    Record,
    Steps,
    Store,
    any_of,
    at_least,
    read_message,
    values_at_least,
    write_message,
)
from dualpipe_ref.comm.protocol.sizes import Sizes


class Row(NamedTuple):
    """A row on its way back to (rank, token), symbolically: a rank, or what was added, in order."""

    rank: int
    token: int
    terms: Any


def nvl_sender(rows: Sequence[Sequence[Row]], lanes: Sequence[NvlLane], sizes: Sizes) -> Steps:
    """Send `rows[n]`, those of node n's rank, through the sub-ring of that node, a chunk at a time.

    With one ring for all nodes a row for a node that waits would be in the way of rows for others.
    """
    sent = (0,) * len(rows)
    while any(sent[n] < len(rows[n]) for n in range(len(rows))):
        node = yield any_of(
            "combine.sender.room",
            {
                n: ((lanes[n].head, sent[n] + sizes.nvl_chunk - len(lanes[n].ring.slots)),)
                for n in range(len(rows))
                if sent[n] < len(rows[n])
            },
        )
        end = min(sent[node] + sizes.nvl_chunk, len(rows[node]))
        for counter in range(sent[node], end):
            slot = lanes[node].ring.slot(counter)
            yield from write_message("combine.sender.nvl_slot", slot, counter, rows[node][counter])
        sent = raised(sent, node, end - sent[node])
        yield Store("combine.sender.nvl_tail", lanes[node].tail, end)


class LargeWarp(NamedTuple):
    """Warps of a forwarder that reduce together for one node.

    `freed[lane][warp]` is how far each has come in each lane; `heads[i][lane]` are the encoded counters of message i.
    """

    node: int
    link: RdmaLink
    lanes: tuple[NvlLane, ...]
    heads: tuple[tuple[int, ...], ...]
    freed: tuple[tuple[Location, ...], ...]
    arrived: Location


def forwarder(warp: int, large: LargeWarp, sizes: Sizes) -> Steps:
    """One warp of a large warp: add up every `large_warp`-th message of each chunk; the last warp puts the chunk."""
    posted = (0,) * len(large.lanes)
    words = tuple(of_lane[warp] for of_lane in large.freed)
    count = len(large.heads)
    for chunk, first in enumerate(range(0, count, sizes.rdma_chunk)):
        end = min(first + sizes.rdma_chunk, count)
        yield at_least("combine.forwarder.credit", (large.link.head, end - sizes.rdma_ring))
        for at in range(first + warp, end, sizes.large_warp):
            heads = large.heads[at]
            posted = yield from post("combine.forwarder.hint", words, posted, heads)
            row = yield from reduced("combine.forwarder", "nvl", large.lanes, heads)
            slot = large.link.staging.slot(at)
            yield from write_message("combine.forwarder.rdma_slot", slot, at, row)
            posted = yield from post_read("combine.forwarder.free", words, posted, heads)
        yield Add("combine.forwarder.barrier.arrive", large.arrived, 1)
        yield at_least(
            "combine.forwarder.barrier.wait", (large.arrived, (chunk + 1) * sizes.large_warp)
        )
        if warp == sizes.large_warp - 1:
            yield from publish("combine.forwarder", large.link, first, end - first)
    for word in words:
        yield Store("combine.forwarder.free", word, ENDLESS)


def post(
    site: str, words: Sequence[Location], posted: tuple[int, ...], heads: Sequence[int]
) -> Generator[Any, Any, tuple[int, ...]]:
    """Before it waits, a warp lets go what lies before this message in each lane; gives what is posted now."""
    for lane in range(len(words)):
        if freed_before(heads[lane]) != posted[lane]:
            posted = raised(posted, lane, freed_before(heads[lane]) - posted[lane])
            yield Store(site, words[lane], posted[lane])
    return posted


def post_read(
    site: str, words: Sequence[Location], posted: tuple[int, ...], heads: Sequence[int]
) -> Generator[Any, Any, tuple[int, ...]]:
    """After the last read, a warp lets go this message's slot in each lane that it read."""
    for lane in range(len(words)):
        if heads[lane] >= 0:
            posted = raised(posted, lane, heads[lane] + 1 - posted[lane])
            yield Store(site, words[lane], posted[lane])
    return posted


def reduced(
    role: str, link: str, lanes: Sequence[NvlLane | RdmaLink], heads: Sequence[int]
) -> Generator[Any, Any, Row]:
    """Wait for a message's row in every lane that has one, and add them in the order of lanes."""
    there = [lane for lane in range(len(lanes)) if heads[lane] >= 0]
    yield at_least(f"{role}.{link}_tail", *((lanes[lane].tail, heads[lane] + 1) for lane in there))
    total: Row | None = None
    for lane in there:
        row = yield from read_message(
            f"{role}.{link}_slot", lanes[lane].ring.slot(heads[lane]), heads[lane]
        )
        if total is None:
            total = Row(row.rank, row.token, (row.terms,))
        elif (row.rank, row.token) != (total.rank, total.token):
            raise Broken(
                f"{role} adds a row of token {row.token} of rank {row.rank} "
                f"to one of token {total.token} of rank {total.rank}"
            )
        else:
            total = total._replace(terms=(*total.terms, row.terms))
    return Row(-1, -1, ()) if total is None else total


def forwarder_coordinator(freed: Sequence[Location], head: Location) -> Steps:
    """One lane of it: tell a sender of the node how far all warps of a large warp have come in its sub-ring."""
    told = 0
    while told < ENDLESS:
        site = "combine.forwarder_coordinator.free"
        _, places = yield values_at_least(site, *((word, told + 1) for word in freed))
        told = min(places)
        yield Store("combine.forwarder_coordinator.credit", head, told)


def receiver(
    warp: int,
    first_token: int,
    heads: Sequence[tuple[int, ...]],
    links: Sequence[RdmaLink],
    freed: Sequence[Sequence[Location]],
    record: Location,
    sizes: Sizes,
) -> Steps:
    """Add up every `receivers`-th token over the nodes that it went to. `freed[node][warp]` as with a large warp."""
    posted = (0,) * len(links)
    words = tuple(of_node[warp] for of_node in freed)
    for at in range(warp, len(heads), sizes.receivers):
        posted = yield from post("combine.receiver.hint", words, posted, heads[at])
        row = yield from reduced("combine.receiver", "rdma", links, heads[at])
        yield Record("combine.receiver.record", record, (first_token + at, row))
        posted = yield from post_read("combine.receiver.free", words, posted, heads[at])
    for word in words:
        yield Store("combine.receiver.free", word, ENDLESS)


def receiver_coordinator(link: RdmaLink, freed: Sequence[Location], sizes: Sizes) -> Steps:
    """One lane of it: give a node's forwarder its slots back when every warp has passed them, by chunks or more."""
    told = 0
    while told < ENDLESS:
        site = "combine.receiver_coordinator.free"
        _, places = yield values_at_least(
            site, *((word, told + sizes.rdma_chunk) for word in freed)
        )
        free = min(places)
        if free < ENDLESS:
            site = "combine.receiver_coordinator.credit"
            yield from give_back(site, link, free - told)
        told = free
