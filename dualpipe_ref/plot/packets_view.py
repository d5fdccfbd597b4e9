"""The live view of packets: a dispatch and its combine over two nodes, run by the protocol itself. Standard library only."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol import Combine, Dispatch, Routes, Sizes, handle_of
from dualpipe_ref.comm.protocol.packets import Traffic, traffic
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.plot.controls import Control, completed, number, select, slider
from dualpipe_ref.plot.exact import whole_number
from dualpipe_ref.plot.packets_data import packets_data
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.volumes import combine_bytes, dispatch_bytes

NODES, GPUS, EXPERTS = 2, 8, 32
HIDDEN = 7168  # numbers of a token: one byte each on the way out, two on the way back
WAYS = ("dispatch", "combine")
DEFAULTS: dict[str, Any] = {
    "way": "dispatch",
    "tokens": 4,
    "experts_per_token": 4,
    "node_limit": 2,
    "ring": 4,
    "channels": 1,
    "seed": 0,
}
MOST = {
    "tokens": 8,
    "experts_per_token": 8,
    "node_limit": NODES,
    "ring": 16,
    "channels": 4,
    "seed": 99_999,
}
# What an InputError calls the parts of this state.
NAMES = {name: name for name in DEFAULTS}


class Case(NamedTuple):
    """A state, read."""

    tokens: int
    experts_per_token: int
    node_limit: int
    ring: int
    channels: int
    seed: int

    def routes(self) -> Routes:
        """For each token its nodes are drawn, then its experts in them, as `simulate.volumes` has it."""
        draw, held = random.Random(self.seed), EXPERTS // NODES

        def token() -> tuple[int, ...]:
            nodes = draw.sample(range(NODES), self.node_limit)
            pool = [node * held + expert for node in sorted(nodes) for expert in range(held)]
            return tuple(draw.sample(pool, self.experts_per_token))

        ranks = range(NODES * GPUS)
        mine = tuple(tuple(token() for _ in range(self.tokens)) for _ in ranks)
        return Routes(Topology(NODES, GPUS), EXPERTS, mine)

    def sizes(self) -> Sizes:
        """Every ring has so many slots, and half of them are a chunk."""
        chunk = self.ring // 2
        return Sizes(
            channels=self.channels,
            rdma_ring=self.ring,
            rdma_chunk=chunk,
            nvl_ring=self.ring,
            nvl_chunk=chunk,
            sub_ring=self.ring,
            large_warp=min(2, chunk),
            parts=1,
        )

    def message(self, way: str) -> int:
        """Bytes of a message, for V3's hidden size."""
        if way == "dispatch":
            return dispatch_bytes(HIDDEN, self.experts_per_token, 1)
        return combine_bytes(HIDDEN, self.experts_per_token, 2)


class Ran(NamedTuple):
    """Both ways of a case, run."""

    routes: Routes
    roles: dict[str, int]
    traffic: dict[str, Traffic]


def answer(state: Mapping[str, Any]) -> dict[str, Any]:
    """Every packet of this state's way, facts and a sentence, with colours; `InputError` for a state that has none.

    >>> answer({"tokens": 1, "experts_per_token": 2})["sentence"]
    'Dispatch of 16 tokens to 2 of 32 experts each: 12 messages cross RDMA, 28 NVLink, in 49 ticks. Every row is where the oracle has it.'
    """
    case = case_of(state)
    way = _way(completed(state, DEFAULTS)["way"])
    ran = run_case(case)
    return packets_data(
        way, ran.traffic[way], ran.routes, ran.roles[way], case.ring, case.message(way)
    )


def case_of(state: Mapping[str, Any]) -> Case:
    """This state in whole numbers."""
    given = completed(state, DEFAULTS)
    _way(given["way"])
    least = {"seed": 0, "ring": 2}
    found = {
        name: whole_number(name, given[name], least.get(name, 1), most)
        for name, most in MOST.items()
    }
    if found["ring"] % 2:
        raise InputError(
            "a chunk is half of a ring here, so its slots are even",
            f"ring = {found['ring']}",
            f"ring = {found['ring'] + 1}",
        )
    return Case(**found)


def _way(given: object) -> str:
    if given not in WAYS:
        raise InputError("a way is dispatch or combine", repr(given)[:40], "way = dispatch")
    return str(given)


@lru_cache(maxsize=4)
def run_case(case: Case) -> Ran:
    """Dispatch and combine of a case under one schedule, each held against its oracle."""
    routes, sizes = case.routes(), case.sizes()
    dispatch = Dispatch(routes, sizes)
    out = traffic(dispatch, case.seed)
    assert out.outcome.is_right, out.outcome
    assert out.outcome.records is not None
    combine = Combine(routes, sizes, handle_of(dispatch, out.outcome.records))
    back = traffic(combine, case.seed)
    assert back.outcome.is_right, back.outcome
    roles = {"dispatch": len(dispatch.world.roles), "combine": len(combine.world.roles)}
    return Ran(routes, roles, {"dispatch": out, "combine": back})


def controls(state: Mapping[str, Any]) -> list[Control]:
    """One control for everything that a reader can change."""
    given, case = completed(state, DEFAULTS), case_of(state)
    return [
        select("way", "Way", str(given["way"]), WAYS),
        slider("tokens", "Tokens of a GPU", case.tokens, (1, MOST["tokens"])),
        slider("experts_per_token", "Experts of a token", case.experts_per_token, (1, 8)),
        slider("node_limit", "Nodes of a token, at most", case.node_limit, (1, NODES)),
        slider("ring", "Slots of a ring", case.ring, (2, 16), step=2),
        slider("channels", "Channels", case.channels, (1, MOST["channels"])),
        number("seed", "Seed of routing and schedule", given["seed"], 0, 1),
    ]
