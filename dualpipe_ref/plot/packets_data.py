"""What the viewer of packets reads of a run, ready for JSON. Standard library only."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dualpipe_ref.comm.protocol.packets import NVLINK, OWN, RDMA, ROW, SUM, Packet, Traffic
from dualpipe_ref.comm.protocol.routes import Routes
from dualpipe_ref.plot.palette import Palette, palette
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.volumes import hops

KINDS = (RDMA, NVLINK, OWN, SUM, ROW)  # a packet names its kind by its place here
LINKS = (RDMA, NVLINK)
Table = tuple[tuple[int, ...], ...]  # [rank][tick]


def packets_data(
    way: str, found: Traffic, routes: Routes, roles: int, ring: int, message: int
) -> dict[str, Any]:
    """All packets of one way, in order; what each GPU waits for; facts and a sentence.

    `roles` are those of the run, `ring` the slots of a ring between two nodes, `message` the bytes of a message.
    """
    topology = routes.topology
    return {
        "view": "packets",
        "way": way,
        "sentence": _sentence(way, found, routes),
        "nodes": topology.nodes,
        "gpus": topology.gpus_per_node,
        "ticks": found.ticks,
        "message": message,
        "packets": [_shown(packet) for packet in found.packets],
        "wanted": [[list(one) for one in mine] for mine in routes.wanted],
        # How many rows a GPU has when it is done: those for its experts, or its own tokens come home.
        "awaited": [_awaited(way, rank, routes) for rank in range(topology.ranks)],
        "facts": _facts(way, found, routes, roles, ring, message),
        "palettes": {name: _colours(palette(name)) for name in ("light", "dark")},
    }


def _shown(packet: Packet) -> list[int]:
    return [
        packet.tick,
        KINDS.index(packet.kind),
        packet.source,
        packet.target,
        packet.rank,
        packet.token,
        packet.parts,
    ]


def _awaited(way: str, rank: int, routes: Routes) -> int:
    if way == "dispatch":
        return sum(routes.from_rank[rank])
    return sum(bool(wanted) for wanted in routes.wanted[rank])


def use_over_time(found: Traffic, ranks: int) -> dict[str, Table]:
    """Messages that each GPU sends over each link in each tick: {link: [rank][tick]}, tick 0 being empty."""
    counted = Counter((one.kind, one.source, one.tick) for one in found.packets)
    return {
        link: tuple(
            tuple(counted[link, rank, tick] for tick in range(found.ticks + 1))
            for rank in range(ranks)
        )
        for link in LINKS
    }


def crossings(routes: Routes, *, aggregated: bool = True) -> dict[str, int]:
    """How often all tokens together cross each link, by `simulate.volumes`, which runs no protocol."""
    gpus = routes.topology.gpus_per_node
    found = [
        hop.rdma
        for rank, mine in enumerate(routes.wanted)
        for wanted in mine
        for hop in hops(rank, wanted, gpus, aggregated=aggregated)
    ]
    return {RDMA: sum(found), NVLINK: len(found) - sum(found)}


def _sentence(way: str, found: Traffic, routes: Routes) -> str:
    crossed = Counter(packet.kind for packet in found.packets)
    tokens = sum(map(len, routes.tokens))
    each = len(routes.tokens[0][0])
    right = "row is where" if way == "dispatch" else "sum is what"
    what = f"{way.capitalize()} of {tokens} tokens to {each} of {routes.experts} experts each"
    if way == "combine":
        what = f"Combine of {tokens} tokens from {each} of {routes.experts} experts each"
    return (
        f"{what}: {crossed[RDMA]} messages cross RDMA, {crossed[NVLINK]} NVLink,"
        f" in {found.ticks} ticks. Every {right} the oracle has it."
    )


def _facts(
    way: str, found: Traffic, routes: Routes, roles: int, ring: int, message: int
) -> list[dict[str, str]]:
    crossed = Counter(packet.kind for packet in found.packets)
    direct = crossings(routes, aggregated=False)
    sent = Counter(packet.source for packet in found.packets if packet.kind == RDMA)
    mean = crossed[RDMA] / routes.topology.ranks
    rows = [
        (
            "over RDMA",
            _bytes(crossed[RDMA] * message),
            f"{_messages(crossed[RDMA])} of {message:,} B; {direct[RDMA]} if each GPU had its own",
        ),
        (
            "over NVLink",
            _bytes(crossed[NVLINK] * message),
            f"{_messages(crossed[NVLINK])}, to GPUs at another place of a node",
        ),
        (
            "busiest RDMA link",
            _messages(max(sent.values(), default=0)),
            f"{mean:.3g} in the mean of {routes.topology.ranks} GPUs",
        ),
        ("fullest ring between nodes", f"{found.fullest} of {ring} slots", "in this schedule"),
        (
            "beside the messages",
            f"{found.words:,} words",
            "counts, tails and credits over RDMA; not in the bytes above",
        ),
        ("operations", f"{found.outcome.steps:,}", f"by {roles:,} roles; one a role and tick"),
    ]
    return [{"label": label, "value": value, "note": note} for label, value, note in rows]


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


def _bytes(size: int) -> str:
    return f"{size / 1e6:.3g} MB" if size >= 10**6 else f"{size / 1e3:.3g} kB"


def _colours(colours: Palette) -> dict[str, Any]:
    plain = ("ink", "muted", "paper", "idle", "border", "highlight")
    filled, added = colours.fill(OpKind.F), colours.fill(OpKind.W)
    return {
        **{name: getattr(colours, name) for name in plain},
        "filled": filled,
        "on_filled": colours.ink_on(filled),
        "added": added,
        "on_added": colours.ink_on(added),
    }
