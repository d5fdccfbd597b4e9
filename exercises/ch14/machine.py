"""A GPU that forwards, with its rings, run one operation at a time under schedules that mean no good.

Senders of other nodes put messages into its rings, one forwarder for each GPU of the node copies what is for that GPU, and a
receiver there takes it. The forwarders are the reader's; all else, and the choice of who is next, is here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

from dualpipe_ref.comm.protocol import Routes
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.grading.checks import Fault

Messages = list[list[tuple[int, int]]]  # [source node]: (token, mask), in order
Turn = Callable[[Any, int, int, list[dict[int, int]], int], Any]


class Case(NamedTuple):
    """Who wants which token, on N nodes of L GPUs, through C channels."""

    routes: Routes
    channels: int

    @property
    def nodes(self) -> int:
        return self.routes.topology.nodes

    @property
    def gpus(self) -> int:
        return self.routes.topology.gpus_per_node

    @property
    def ranks(self) -> range:
        return range(self.routes.topology.ranks)

    def wanted(self, rank: int) -> list[list[int]]:
        return [list(one) for one in self.routes.wanted[rank]]

    def __str__(self) -> str:
        tokens = ", ".join(str(len(mine)) for mine in self.routes.wanted)
        return f"N = {self.nodes}, L = {self.gpus}, C = {self.channels}, tokens {tokens}"

    def prefixes(self, rank: int) -> tuple[list[list[int]], list[list[int]]]:
        routes, ends = self.routes, range(1, self.channels + 1)
        return (
            [
                [routes.to_rank_before(rank, target, end, self.channels) for end in ends]
                for target in self.ranks
            ],
            [
                [routes.to_node_before(rank, node, end, self.channels) for end in ends]
                for node in range(self.nodes)
            ],
        )

    def first_rows(self, rank: int) -> list[list[int]]:
        routes = self.routes
        return [
            [
                routes.first_row[rank][source]
                + routes.to_rank_before(source, rank, channel, self.channels)
                for channel in range(self.channels)
            ]
            for source in self.ranks
        ]

    def messages(self, rank: int) -> list[Messages]:
        """[channel][node] of one sender."""
        return [
            [
                [
                    (token, sum(1 << local for local in locals_of))
                    for token in self.routes.channel(rank, channel, self.channels)
                    if (locals_of := self.routes.locals_of(rank, token, node))
                ]
                for node in range(self.nodes)
            ]
            for channel in range(self.channels)
        ]

    def incoming(self, rank: int, channel: int) -> Messages:
        """What the GPU `rank` takes in through a channel, from the GPU at its place in each node."""
        node, place = divmod(rank, self.gpus)
        rail = [other * self.gpus + place for other in range(self.nodes)]
        return [self.messages(peer)[channel][node] for peer in rail]


def cases() -> Iterator[Case]:
    """Few GPUs and tokens first; drawn, all for one GPU, ranks without tokens, tokens that nobody wants."""
    draw = random.Random(14)
    grids = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 4), (3, 1), (3, 2), (2, 3), (4, 1), (4, 2), (4, 4)]
    for (nodes, gpus), most, kind in product(grids, (0, 1, 3, 7), ("drawn", "crowd", "empty")):
        ranks = nodes * gpus
        if kind != "drawn" and not most:
            continue

        def token(kind: str = kind, ranks: int = ranks) -> tuple[int, ...]:
            if kind == "crowd":
                return (ranks - 1,)
            return tuple(draw.sample(range(ranks), draw.randint(kind == "drawn", min(ranks, 4))))

        counts = [draw.randint(0 if kind == "empty" else min(1, most), most) for _ in range(ranks)]
        tokens = tuple(tuple(token() for _ in range(count)) for count in counts)
        yield Case(Routes(Topology(nodes, gpus), ranks, tokens), draw.choice((1, 1, 2, 3)))


class Rings(NamedTuple):
    """Slots of a ring from another node, and of a ring to a GPU of this node."""

    rdma: int
    nvlink: int


class Bench:
    """One forwarding GPU, run to the end; raises `Fault` for the first thing that goes wrong.

    With `at_once` all operations of a turn happen together, so their order does not matter.
    """

    def __init__(
        self,
        incoming: Messages,
        gpus: int,
        rings: Rings,
        turn: Turn,
        seed: int,
        at_once: bool = False,
    ) -> None:
        self.incoming, self.gpus, self.rings, self.turn = incoming, gpus, rings, turn
        self.at_once = at_once
        self.random = random.Random(seed)
        nodes = len(incoming)
        self.arrived = [0] * nodes  # tails of the rings between nodes
        self.passed = [[0] * gpus for _ in range(nodes)]
        self.slots: list[list[tuple[int, int] | None]] = [
            [None] * rings.nvlink for _ in range(gpus)
        ]
        self.tail, self.head = [0] * gpus, [0] * gpus
        self.copied = [[0] * nodes for _ in range(gpus)]
        self.state: list[Any] = [None] * gpus
        self.waiting: list[list[Any]] = [[] for _ in range(gpus)]
        self.seen: list[Any] = [None] * gpus
        self.taken: list[list[tuple[int, int]]] = [[] for _ in range(gpus)]
        self.told: list[str] = []  # what happened, for whoever has to find out why
        # Some schedules let one kind of actor move only where no other can.
        self.slow = self.random.choice(["", "sender", "forwarder", "receiver"])

    def run(self) -> None:
        """To the end, or to the first `Fault`, which tells what happened last."""
        try:
            self._run()
        except Fault as fault:
            before = f" (before that: {'; '.join(self.told[-4:])})" if self.told else ""
            raise Fault(f"{fault}{before}") from None

    def _run(self) -> None:
        while True:
            ready = [*self._senders(), *self._forwarders(), *self._receivers()]
            if not ready:
                break
            quick = [one for one in ready if one[0] != self.slow]
            kind, place = self.random.choice(quick or ready)
            getattr(self, f"_{kind}")(place)
        self._check_end()

    def _senders(self) -> list[tuple[str, int]]:
        return [
            ("sender", node)
            for node, all_of in enumerate(self.incoming)
            if self.arrived[node] < len(all_of)
            and self.arrived[node] - min(self.passed[node]) < self.rings.rdma
        ]

    def _forwarders(self) -> list[tuple[str, int]]:
        return [
            ("forwarder", target)
            for target in range(self.gpus)
            if self.waiting[target] or self.seen[target] != self._look(target)
        ]

    def _receivers(self) -> list[tuple[str, int]]:
        return [
            ("receiver", target)
            for target in range(self.gpus)
            if self.head[target] < self.tail[target]
        ]

    def _sender(self, node: int) -> None:
        self.told.append(f"message {self.arrived[node]} of node {node} arrives")
        self.arrived[node] += 1

    def _receiver(self, target: int) -> None:
        count = self.head[target]
        found = self.slots[target][count % self.rings.nvlink]
        if found is None:
            raise Fault(
                f"slot {count % self.rings.nvlink} to GPU {target} is published as message {count} and is empty"
            )
        self.taken[target].append(found)
        self.slots[target][count % self.rings.nvlink] = None
        self.head[target] += 1
        self.told.append(f"GPU {target} takes its message {count}")

    def _look(self, target: int) -> tuple[list[dict[int, int]], int]:
        """What a forwarder sees: masks of the messages that lie in each ring, and what its receiver has taken."""
        arrived = [
            {at: self.incoming[node][at][1] for at in range(min(passed), self.arrived[node])}
            for node, passed in enumerate(self.passed)
        ]
        return arrived, self.head[target]

    def _forwarder(self, target: int) -> None:
        if self.waiting[target]:
            self._do(target, self.waiting[target].pop(0))
            return
        seen = self._look(target)
        self.seen[target] = seen
        said = self.turn(self.state[target], target, self.rings.nvlink, *seen)
        if (
            not isinstance(said, list | tuple)
            or len(said) != 2
            or not isinstance(said[1], list | tuple)
        ):
            raise Fault("forward returns a state and a list of operations")
        self.state[target], self.waiting[target] = said[0], list(said[1])
        if self.waiting[target]:
            self.seen[target] = None  # it has something to say, so it is asked again
        while self.at_once and self.waiting[target]:
            self._do(target, self.waiting[target].pop(0))

    def _do(self, target: int, operation: Any) -> None:
        shapes = {"copy": 3, "publish": 1, "passed": 2}
        if (
            not isinstance(operation, list | tuple)
            or not operation
            or operation[0] not in shapes
            or len(operation) != 1 + shapes[operation[0]]
            or not all(type(one) is int for one in operation[1:])
        ):
            raise Fault(f"{operation!r:.60} is no operation")
        getattr(self, f"_do_{operation[0]}")(target, *operation[1:])
        self.told.append(f"forwarder {target} does {tuple(operation)}")

    def _do_copy(self, target: int, node: int, counter: int, slot: int) -> None:
        name = f"message {counter} of node {node}"
        if not 0 <= node < len(self.incoming) or not 0 <= slot < self.rings.nvlink:
            raise Fault(f"there is no node {node} or no slot {slot}")
        if not 0 <= counter < self.arrived[node]:
            raise Fault(f"{name} is copied to GPU {target} before it has arrived")
        if counter < min(self.passed[node]) and not self.at_once:
            raise Fault(f"{name} is copied to GPU {target} when its slot may hold another already")
        if not self.incoming[node][counter][1] >> target & 1:
            raise Fault(f"{name} is copied to GPU {target}, which does not want it")
        if self.slots[target][slot] is not None:
            raise Fault(
                f"{name} is copied over slot {slot} to GPU {target}, which is not taken yet"
            )
        self.slots[target][slot] = node, counter

    def _do_publish(self, target: int, count: int) -> None:
        if count < self.tail[target]:
            raise Fault(f"the tail to GPU {target} goes back from {self.tail[target]} to {count}")
        if count - self.head[target] > self.rings.nvlink:
            raise Fault(f"more is published to GPU {target} than its ring has slots")
        self.tail[target] = count

    def _do_passed(self, target: int, node: int, count: int) -> None:
        if not 0 <= node < len(self.incoming):
            raise Fault(f"there is no node {node}")
        if count > self.arrived[node]:
            raise Fault(
                f"GPU {target}'s forwarder passes message {count - 1} of node {node}, which is not there"
            )
        self.passed[node][target] = max(count, self.passed[node][target])

    def _check_end(self) -> None:
        for target in range(self.gpus):
            for node, all_of in enumerate(self.incoming):
                due = [at for at, (_, mask) in enumerate(all_of) if mask >> target & 1]
                got = [at for source, at in self.taken[target] if source == node]
                if got != due:
                    what = f"GPU {target} got messages {got} of node {node}, not {due}"
                    short = len(got) < len(due) and got == due[: len(got)]
                    raise Fault(f"nobody can move any more; {what}" if short else what)
        for node, all_of in enumerate(self.incoming):
            for target, passed in enumerate(self.passed[node]):
                if passed < len(all_of):
                    raise Fault(
                        f"GPU {target}'s forwarder has passed {passed} of {len(all_of)} messages of"
                        f" node {node}: their slots are never free again"
                    )
