"""Discrete-event simulation: one walk over every rank's program, exact in the numbers it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dualpipe_ref.schedule.flat import FlatBatch, FlatOp, FlatProgram, flat_schedule
from dualpipe_ref.schedule.ir import Payload, Schedule
from dualpipe_ref.simulate.costs import Costs, Network, Number
from dualpipe_ref.simulate.timeline import Timeline, Transfer


class CannotRunError(RuntimeError):
    """The schedule stops before its end. `dualpipe_ref.schedule.verify` names the reason."""


def simulate(
    schedule: Schedule, costs: Costs | None = None, network: Network | None = None
) -> Timeline:
    """Run `schedule` with these costs; defaults: F = I = W = 1, no latency, eager sends.

    Ops of one rank run in order, one at a time. Numbers may be int, float or Fraction, and stay so.

    >>> from dualpipe_ref.schedule import build
    >>> simulate(build("dualpipe", ranks=8, microbatches=20), Costs(FB=3)).makespan
    66
    """
    costs, network = costs or Costs(), network or Network()
    costs.check_fits(schedule)
    walk = _Walk(schedule, costs, network)
    step = walk.eager if network.sends == "eager" else walk.rendezvous
    ready = list(range(schedule.ranks))
    while ready:
        ready += step(ready.pop())
    if any(place < len(program) for place, program in zip(walk.place, walk.programs, strict=True)):
        raise CannotRunError(f"{schedule!r} stops before its end under {network.sends} sends")
    return Timeline(
        schedule,
        tuple(map(tuple, walk.starts)),
        tuple(map(tuple, walk.ends)),
        _Transfers(schedule, walk.sent, walk.departure, walk.arrival),
    )


@dataclass
class _Walk:
    """State of a run: how far each rank is, what time it has, what each message has done."""

    schedule: Schedule
    costs: Costs
    network: Network
    place: list[int] = field(init=False)
    clock: list[Number] = field(init=False)
    starts: list[list[Number]] = field(init=False)
    ends: list[list[Number]] = field(init=False)

    def __post_init__(self) -> None:
        flat = flat_schedule(self.schedule)
        self.programs: list[FlatProgram] = flat.programs
        self.chunks = flat.numbering.chunks
        ranks = self.schedule.ranks
        self.durations = [self.costs.durations(self.schedule, rank) for rank in range(ranks)]
        self.place, self.clock = [0] * ranks, [0] * ranks
        self.starts, self.ends = [[] for _ in range(ranks)], [[] for _ in range(ranks)]
        messages = 2 * self.chunks
        self.sent: list[Number | None] = [None] * messages
        self.received: list[Number | None] = [None] * messages
        self.departure: list[Number | None] = [None] * messages
        self.arrival: list[Number | None] = [None] * messages
        self.waiting: dict[int, int] = {}
        self.channel_free: dict[tuple[int, int], Number] = {}
        self.instant = self.network.bandwidth is None and self.network.latency == 0

    def eager(self, rank: int) -> Iterator[int]:
        """Run `rank` until an op lacks a message; yield the ranks that its sends wake."""
        program, durations = self.programs[rank], self.durations[rank]
        starts, ends, arrival = self.starts[rank], self.ends[rank], self.arrival
        now, place = self.clock[rank], self.place[rank]
        for place in range(place, len(program) + 1):
            if place == len(program):
                break
            event = program[place]
            if type(event) is FlatOp:
                start = now
                for message in event.awaits:
                    there = arrival[message]
                    if there is None:
                        self.waiting[message] = rank
                        break
                    if there > start:
                        start = there
                else:
                    starts.append(start)
                    now = start + durations[len(ends)]
                    ends.append(now)
                    continue
                break
            for message in event.sends:
                self._depart(message, now, now)
                if message in self.waiting:
                    yield self.waiting.pop(message)
        self.clock[rank], self.place[rank] = now, place

    def rendezvous(self, rank: int) -> Iterator[int]:
        """Run `rank` until a batch is not met; yield the ranks whose messages it meets."""
        program, durations = self.programs[rank], self.durations[rank]
        while self.place[rank] < len(program):
            event = program[self.place[rank]]
            if isinstance(event, FlatBatch):
                yield from self._issue(event, self.clock[rank])
                missing = [m for m in event.sends + event.receives if self.arrival[m] is None]
                if missing:
                    self.waiting.update(dict.fromkeys(missing, rank))
                    return
                arrivals = [self.arrival[m] for m in event.sends + event.receives]
                self.clock[rank] = max(self.clock[rank], *arrivals)  # type: ignore[type-var, assignment]
            else:
                if any(self.arrival[m] is None for m in event.awaits):
                    return
                self.starts[rank].append(self.clock[rank])
                self.clock[rank] += durations[len(self.ends[rank])]
                self.ends[rank].append(self.clock[rank])
            self.place[rank] += 1

    def _issue(self, batch: FlatBatch, now: Number) -> Iterator[int]:
        """Offer both kinds of messages; those whose other end is there already travel now."""
        for mine, theirs, messages in (
            (self.sent, self.received, batch.sends),
            (self.received, self.sent, batch.receives),
        ):
            for message in messages:
                if mine[message] is not None:
                    continue
                mine[message] = now
                other = theirs[message]
                if other is not None:
                    sent = self.sent[message]
                    assert sent is not None
                    self._depart(message, sent, max(now, other))
                    if message in self.waiting:
                        yield self.waiting.pop(message)

    def _depart(self, message: int, sent: Number, now: Number) -> None:
        self.sent[message] = sent
        if self.instant:
            self.departure[message] = self.arrival[message] = now
            return
        detail = flat_schedule(self.schedule).numbering.message(message)
        channel = (detail.source, detail.destination)
        is_activation = detail.payload is Payload.ACTIVATION
        network = self.network
        size = network.activation_size if is_activation else network.gradient_size
        start = max(now, self.channel_free.get(channel, now))
        self.channel_free[channel] = start + network.occupancy(size)
        self.departure[message] = start
        self.arrival[message] = start + network.transfer_time(size)


class _Transfers(Sequence[Transfer]):
    """The messages of a run in order of their index, made when looked at."""

    def __init__(
        self,
        schedule: Schedule,
        sent: list[Number | None],
        departure: list[Number | None],
        arrival: list[Number | None],
    ) -> None:
        self._numbering = flat_schedule(schedule).numbering
        self._times = [
            (index, *times)
            for index, times in enumerate(zip(sent, departure, arrival, strict=True))
            if times[2] is not None
        ]

    def __len__(self) -> int:
        return len(self._times)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        index, sent, start, end = self._times[place]
        return Transfer(self._numbering.message(index), sent, start, end)
