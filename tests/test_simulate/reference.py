"""A second simulator, written another way: raise all times together until no rule is broken.

It shares no code with the engine. What needs what comes from `placement.routes` alone; only the
places of the messages are taken from the schedule, for they are part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from dualpipe_ref.schedule import Op, Schedule
from dualpipe_ref.simulate import Costs, Network

# What is made ("F": output, "I": input gradient, "W"), direction, stage, micro-batch.
Key = tuple[str, int, int, int]
Node = tuple[int, int]  # rank, place among the rank's ops
Duration = Callable[[int, Op], Any]


def stage_of(schedule: Schedule) -> dict[tuple[int, int], tuple[int, int]]:
    """(rank, slot) to (direction, stage)."""
    return {
        home: (direction, stage)
        for direction, route in enumerate(schedule.placement.routes)
        for stage, home in enumerate(route)
    }


def makes(schedule: Schedule, rank: int, op: Op) -> Iterator[Key]:
    home = stage_of(schedule)
    if op.forward is not None:
        yield ("F", *home[rank, op.forward.slot], op.forward.microbatch)
    if op.backward is not None:
        name = "W" if op.kind == "W" else "I"
        yield (name, *home[rank, op.backward.slot], op.backward.microbatch)


def needs(schedule: Schedule, rank: int, op: Op) -> Iterator[Key]:
    last = len(schedule.placement.routes[0]) - 1
    for name, direction, stage, microbatch in makes(schedule, rank, op):
        if name == "F" and stage > 0:
            yield ("F", direction, stage - 1, microbatch)
        if name == "I":
            yield ("F", direction, stage, microbatch)
            if stage < last:
                yield ("I", direction, stage + 1, microbatch)
        if name == "W":
            yield ("I", direction, stage, microbatch)


def dependencies(schedule: Schedule) -> dict[Node, list[tuple[Node, Key]]]:
    """The ops that each op needs, with what it needs of them."""
    maker = {
        key: (rank, place)
        for rank, ops in enumerate(schedule.ops)
        for place, op in enumerate(ops)
        for key in makes(schedule, rank, op)
    }
    return {
        (rank, place): [(maker[key], key) for key in needs(schedule, rank, op)]
        for rank, ops in enumerate(schedule.ops)
        for place, op in enumerate(ops)
    }


def duration_of(schedule: Schedule, costs: Costs) -> Duration:
    """What `Costs` promises in its docstring, computed again."""
    home = stage_of(schedule)

    def pick(name: str, stage: int) -> Any:
        value = getattr(costs, name)
        if value is None:
            return pick("I", stage) + pick("W", stage)
        return value[stage] if isinstance(value, tuple) else value

    def duration(rank: int, op: Op) -> Any:
        scale = costs.rank_scale[rank] if costs.rank_scale else 1
        forward = home[rank, op.forward.slot][1] if op.forward else -1
        backward = home[rank, op.backward.slot][1] if op.backward else -1
        if op.kind != "FB":
            return scale * pick(op.kind, forward if op.kind == "F" else backward)
        if costs.FB is None:
            return scale * (pick("F", forward) + pick("B", backward))
        return scale * Fraction(1, 2) * (pick("FB", forward) + pick("FB", backward))

    return duration


class Reference:
    """Least times that break no rule. Durations may be zero here.

    `start` and `end` by (rank, place of the op).
    """

    def __init__(self, schedule: Schedule, duration: Duration, network: Network) -> None:
        self.schedule, self.network = schedule, network
        self.start: dict[Node, Any] = {}
        self.end: dict[Node, Any] = {}
        self.issue: dict[tuple[int, Any], Any] = {}  # (rank, message)
        self.arrive: dict[Any, Any] = {}
        self.duration = {
            (rank, place): duration(rank, op)
            for rank, ops in enumerate(schedule.ops)
            for place, op in enumerate(ops)
        }
        self.inputs = dependencies(schedule)
        self.channels: dict[tuple[int, int], list[Any]] = {}
        for rank, program in enumerate(schedule.programs):
            for event in program:
                for message in () if isinstance(event, Op) else event.messages:
                    if message.source == rank:
                        channel = self.channels.setdefault((rank, message.destination), [])
                        channel.append(message)
        while self.sweep():
            pass

    @property
    def makespan(self) -> Any:
        return max(self.end.values())

    def sweep(self) -> bool:
        """Apply every rule once; whether a time rose."""
        before = dict(self.end), dict(self.arrive), dict(self.issue)
        for rank, program in enumerate(self.schedule.programs):
            self.walk(rank, program)
        for messages in self.channels.values():
            self.carry(messages)
        return before != (self.end, self.arrive, self.issue)

    def walk(self, rank: int, program: Any) -> None:
        now: Any = 0
        place = 0
        for event in program:
            if isinstance(event, Op):
                node = rank, place
                now = max([now, *(self.available(key, by, rank) for by, key in self.inputs[node])])
                self.start[node] = now
                now = self.end[node] = now + self.duration[node]
                place += 1
                continue
            for message in event.messages:
                self.issue[rank, message] = now
            if self.network.sends == "rendezvous":
                now = max([now, *(self.arrive.get(message, 0) for message in event.messages)])

    def available(self, key: Key, maker: Node, rank: int) -> Any:
        if maker[0] == rank:
            return self.end.get(maker, 0)
        return self.arrive.get(key, 0)

    def carry(self, messages: list[Any]) -> None:
        free: Any = 0
        for message in messages:
            begin = max(free, self.issue.get((message.source, message), 0))
            if self.network.sends == "rendezvous":
                begin = max(begin, self.issue.get((message.destination, message), 0))
            activation = message.payload == "activation"
            size = self.network.activation_size if activation else self.network.gradient_size
            bandwidth = self.network.bandwidth
            free = begin if bandwidth is None else begin + Fraction(size) / Fraction(bandwidth)
            key = "F" if activation else "I", message.direction, message.stage, message.microbatch
            self.arrive[message] = self.arrive[key] = free + self.network.latency
