"""What is measured, on a GPU or in the emulator: an exchange whose launches start again, copies, matmuls, probes of SMs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.errors import CommTimeout
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.kernels import direct_plan, queue_roles
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.routing import route
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.base import Transport
from dualpipe_ref.comm.transport.gpu import check_blocks
from dualpipe_ref.hopper.arithmetic import (
    Copies,
    Traffic,
    combine_traffic,
    copies,
    dispatch_traffic,
)
from dualpipe_ref.hopper.driver import Driver
from dualpipe_ref.hopper.kernel_records import KernelBlock, KernelRecords, recording
from dualpipe_ref.hopper.replay import Launch, Listening, Zero
from dualpipe_ref.hopper.reserve import Half
from dualpipe_ref.hopper.sm_map import Ran, SmMap

VERSIONS = ("direct", "queues")
ROLES = {"direct": direct_plan.ROLES, "queues": queue_roles.ROLES}
WAIT_SECONDS = 10.0


class Shape(NamedTuple):
    """What each rank sends: `tokens` of `hidden` bfloat16, each to K of the `experts`, on at most `node_limit` nodes."""

    tokens: int
    hidden: int
    experts: int
    experts_per_token: int
    node_limit: int


# DeepSeek-V3 (arXiv:2412.19437, sections 2.1.2 and 4.2), and one that the emulator runs in a moment.
V3 = Shape(4096, 7168, 256, 8, 4)
TINY = Shape(2, 64, 16, 2, 2)


class Work(NamedTuple):
    """Something that a half of the GPU does: `start(stream)` puts it there and returns, or in the emulator does it."""

    half: Half
    start: Callable[[Any], None]

    def repeated(self, times: int) -> Work:
        """The same so many times, one after another."""

        def start(stream: Any) -> None:
            for _ in range(times):
                self.start(stream)

        return Work(self.half, start)


@dataclass
class Exchanged:
    """A dispatch and a combine that ran once: their `steps`, to be started again, what they move, and what they left.

    `dispatched` and `combined` are copies of the results of the first run; `sources` are, for each rank, the places of its
    rows among all ranks' tokens, one after another.
    """

    version: str
    topology: Topology
    tokens: list[Tensor]
    heaps: list[Tensor]
    dispatch: tuple[Zero | Launch, ...]
    combine: tuple[Zero | Launch, ...]
    dispatch_traffic: Traffic
    combine_traffic: Traffic
    received: list[Tensor]
    sums: list[Tensor]
    dispatched: list[Tensor]
    combined: list[Tensor]
    sources: list[Tensor]
    lanes: int

    def check(self) -> None:
        """Raises `CommTimeout` where a wait gave up, `RuntimeError` where results are not those of the first run."""
        for step in (*self.dispatch, *self.combine):
            if isinstance(step, Launch):
                record = step.tensors[1].tolist()
                if record[0]:
                    raise CommTimeout(record, ROLES[self.version])
        pairs = [(self.received, self.dispatched), (self.sums, self.combined)]
        for name, (now, first) in zip(("dispatch", "combine"), pairs, strict=True):
            if not all(torch.equal(a, b) for a, b in zip(now, first, strict=True)):
                raise RuntimeError(f"{self.version}: {name} gave other bits than in its first run")

    def check_fits(self, half: Half) -> None:
        """Raises `InputError` unless all blocks find an SM of a half at once, since they wait for one another."""
        for step in (*self.dispatch, *self.combine):
            if isinstance(step, Launch):
                check_blocks(step.blocks, self.topology.ranks, half.sms)

    def recording(self) -> Recording:
        """The same exchange, whose kernels write down where and when they run; this one goes on without."""
        ranks = self.topology.ranks
        dispatch, of_dispatch = recording(self.dispatch, ranks, self.lanes)
        combine, of_combine = recording(self.combine, ranks, self.lanes)
        made = replace(self, dispatch=dispatch, combine=combine)
        return Recording(made, {"dispatch": of_dispatch, "combine": of_combine})

    def spoil(self, phase: str) -> None:
        """Make the results of dispatch or combine wrong, so that `check` sees whether they were made again."""
        for one in {"dispatch": self.received, "combine": self.sums}[phase]:
            one.fill_(float("nan"))


class Recording(NamedTuple):
    """An exchange that records, and by phase what its launches write down each time that they are started."""

    made: Exchanged
    records: dict[str, list[KernelRecords]]

    def clear(self) -> None:
        """Forget what was written, so that a launch that writes nothing is found out."""
        for one in self._all():
            one.clear()

    def ran(self, phase: str) -> list[Ran]:
        """Where the blocks of a phase ran. Raises `InputError` where one wrote nothing."""
        return [block for one in self.records[phase] for block in one.ran()]

    def kernel_blocks(self) -> list[KernelBlock]:
        """All blocks of both phases, for `kernel_trace`."""
        return [block for one in self._all() for block in one.kernel_blocks()]

    def _all(self) -> list[KernelRecords]:
        return [one for some in self.records.values() for one in some]


class Machine(Protocol):
    """Where it is measured. Times are seconds."""

    shape: Shape
    # Bytes that the yardstick copies for each SM, and the side of the square matmuls.
    copied_per_sm: int
    side: int
    # So often communication runs beside matmuls, so that a whole number of those comes near to it.
    in_a_row: int
    # Whether matmuls can be told how many SMs they have.
    tells: bool

    @property
    def driver(self) -> Driver:
        """What reserves its SMs."""
        ...

    def environment(self) -> dict[str, Any]:
        """What the numbers depend on: GPU, driver, clocks."""
        ...

    def exchange(self, version: str, topology: Topology, blocks: int) -> Exchanged:
        """Run a version once with so many blocks a rank."""
        ...

    def works(self, made: Exchanged, half: Half) -> tuple[Work, Work]:
        """Its dispatch and its combine on a half."""
        ...

    def copy(self, half: Half, blocks: int, threads: int, size: int) -> Work:
        """A plain copy of `size` bytes by so many blocks."""
        ...

    def torch_ways(self, made: Exchanged, half: Half) -> tuple[Work, Work]:
        """What a user of torch would write: rows by index_select for each rank, sums by index_add."""
        ...

    def matmuls(self, half: Half, count: int) -> Work:
        """A chain of bfloat16 matmuls of `side`, told how many SMs they have where torch can."""
        ...

    def holder(self, half: Half, seconds: float) -> Work:
        """Blocks that stay on the SMs of a half for so long and do nothing, as communication holds them."""
        ...

    def seconds(self, *works: Work, beside: Work | None = None, runs: int = 5) -> float:
        """From the common start of all works to the end of the last; the median of several runs. What runs `beside` them
        begins first, and nobody waits for its end."""
        ...

    def probe(self, communication: Half, compute: Half) -> SmMap:
        """Run blocks on both halves at once and ask them where they are."""
        ...

    def probe_kernels(
        self, made: Exchanged, communication: Half, compute: Half
    ) -> dict[str, SmMap]:
        """The same of dispatch and of combine: the map of each, by what its own blocks write beside those that ask."""
        ...


def exchanged(
    version: str, transport: Transport, shape: Shape, blocks: int, small: bool
) -> Exchanged:
    """Run a version once on a transport, and keep what it launched. `small` rings are for the emulator."""
    heard = Listening(transport)
    exchange = _made(version, heard, shape, blocks, small)
    topology, device = transport.topology, transport.device
    sent = _outgoing(topology, shape, device)
    received, handles = zip(*exchange.dispatch(sent, shape.experts), strict=True)
    heard.taken()
    received, handles = zip(*exchange.dispatch(sent, shape.experts, handles), strict=True)
    dispatch = heard.taken()
    rows = [one.tokens for one in received]
    sums = [total for total, _ in exchange.combine(rows, handles)]
    combine = heard.taken()
    layouts = [handle.layout for handle in handles]
    made = _copies(topology, layouts, version)
    message = [step for step in dispatch if isinstance(step, Launch)][-1].plan.message.size
    row = 2 * shape.hidden
    sources = [one.source[:, 0] * shape.tokens + one.source[:, 1] for one in received]
    return Exchanged(
        version,
        topology,
        [one.tokens for one in sent],
        heard.made,
        dispatch,
        combine,
        dispatch_traffic(made, message, row),
        combine_traffic(made, shape.tokens * topology.ranks, row),
        rows,
        sums,
        [one.clone() for one in rows],
        [one.clone() for one in sums],
        sources,
        transport.lanes,
    )


def _made(version: str, transport: Any, shape: Shape, blocks: int, small: bool) -> Any:
    common: dict[str, Any] = {
        "hidden": shape.hidden,
        "experts_per_token": shape.experts_per_token,
        "number_bytes": 2,
        "seconds": WAIT_SECONDS,
    }
    if version == "direct":
        return Direct(transport, most_tokens=shape.tokens, num_sms=blocks, **common)
    if small:
        return Queues(transport, sizes=Sizes(channels=blocks // 2), **common)
    return Queues(transport, num_sms=blocks, **common)


def _outgoing(topology: Topology, shape: Shape, device: torch.device) -> list[Outgoing]:
    """The same on every device: drawn on the CPU."""
    draw = torch.Generator().manual_seed(0)
    limit = min(shape.node_limit, topology.nodes)
    sent = []
    for _ in range(topology.ranks):
        tokens = torch.randn(shape.tokens, shape.hidden, generator=draw).bfloat16()
        scores = torch.randn(shape.tokens, shape.experts, generator=draw).sigmoid()
        routing = route(scores, shape.experts_per_token, nodes=topology.nodes, node_limit=limit)
        there = [one.to(device).contiguous() for one in routing]
        sent.append(Outgoing(tokens.to(device), type(routing)(*there)))
    return sent


def _copies(topology: Topology, layouts: Sequence[Any], version: str) -> Copies:
    own = [int(one.to_node[:, topology.node_of(rank)].sum()) for rank, one in enumerate(layouts)]
    return copies(
        sum(int(one.to_node.sum()) for one in layouts),
        sum(int(one.to_rank.sum()) for one in layouts),
        sum(own),
        version,
    )
