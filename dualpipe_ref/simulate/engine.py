"""Discrete-event simulation: one walk over every rank's program, exact in the numbers it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from dualpipe_ref.schedule.collection import collection_paused
from dualpipe_ref.schedule.ir import Payload, Schedule
from dualpipe_ref.schedule.numbering import Numbering
from dualpipe_ref.simulate.costs import Costs, Network, Number, OpTimes
from dualpipe_ref.simulate.timeline import Timeline, Transfer


class CannotRunError(RuntimeError):
    """The schedule stops before its end. `dualpipe_ref.schedule.verify` names the reason."""


def simulate(
    schedule: Schedule,
    costs: Costs | OpTimes | None = None,
    network: Network | None = None,
    *,
    until_stuck: bool = False,
) -> Timeline:
    """Run `schedule` with these costs; defaults: F = I = W = 1, no latency, eager sends.

    Ops of one rank run in order, one at a time. Numbers may be int, float or Fraction, and stay so.
    A schedule that stops before its end raises CannotRunError; with `until_stuck` the timeline
    then holds the ops that ran.

    >>> from dualpipe_ref.schedule import build
    >>> simulate(build("dualpipe", ranks=8, microbatches=20), Costs(FB=3)).makespan
    66
    """
    costs, network = costs or Costs(), network or Network()
    costs.check_fits(schedule)
    with collection_paused():
        walk = _Walk(schedule, costs, network)
        step = walk.eager if network.sends == "eager" else walk.rendezvous
        while walk.ready:
            step(walk.ready.pop())
    finished = list(map(len, walk.ends)) == list(map(len, walk.durations))
    if not (finished or until_stuck):
        raise CannotRunError(f"{schedule!r} stops before its end under {network.sends} sends")
    times = (walk.sent, walk.departure, walk.arrival)
    return Timeline(
        schedule,
        tuple(map(tuple, walk.starts)),
        tuple(map(tuple, walk.ends)),
        _Transfers(walk.numbering, *times),
    )


class _Walk:
    """State of a run: how far each rank is, what time it has, what each message has done."""

    def __init__(self, schedule: Schedule, costs: Costs | OpTimes, network: Network) -> None:
        count = schedule.ranks
        self.ops, self.batches = schedule.flat_ops, schedule.batches
        self.numbering, self.network = schedule.numbering, network
        self.durations = [costs.durations(schedule, rank) for rank in range(count)]
        self.ready = list(range(count))
        self.clock: list[Number] = [0] * count
        self.starts: list[list[Number]] = [[] for _ in range(count)]
        self.ends: list[list[Number]] = [[] for _ in range(count)]
        # How many of the batches before its next op each rank has left (they are issued in order).
        self.batches_left = [0] * count
        messages = 2 * schedule.numbering.chunks
        self.sent: list[Number | None] = [None] * messages
        self.posted: list[Number | None] = [None] * messages
        self.departure: list[Number | None] = [None] * messages
        self.arrival: list[Number | None] = [None] * messages
        self.waiting: dict[int, int] = {}
        self.channel_free: dict[tuple[int, int], Number] = {}
        self.instant = network.bandwidth is None and network.latency == 0
        if self.instant and network.sends == "eager":
            # Sent, gone and there at one moment: one list says all three.
            self.sent = self.departure = self.arrival

    def eager(self, rank: int) -> None:
        """Run `rank` until an op lacks a message. A send is over when it is issued."""
        ops, batches = self.ops[rank], self.batches[rank]
        durations, starts, ends = self.durations[rank], self.starts[rank], self.ends[rank]
        arrival, waiting, now = self.arrival, self.waiting, self.clock[rank]
        instant, resumed = self.instant, self.batches_left[rank]
        for place in range(len(ends), len(batches)):
            if not resumed:
                for sends, _ in batches[place]:
                    for message in sends:
                        if instant:
                            arrival[message] = now
                        else:
                            self._depart(message, now, now)
                        if message in waiting:
                            self.ready.append(waiting.pop(message))
            if place == len(ops):
                break
            start = now
            for message in ops[place][3]:
                there = arrival[message]
                if there is None:
                    waiting[message] = rank
                    self.batches_left[rank] = 1
                    self.clock[rank] = now
                    return
                if there > start:
                    start = there
            resumed = 0
            now = start + durations[place]
            starts.append(start)
            ends.append(now)

    def rendezvous(self, rank: int) -> None:
        """Run `rank` until a batch has a message whose other end is not there yet."""
        ops, batches = self.ops[rank], self.batches[rank]
        for place in range(len(self.ends[rank]), len(batches)):
            for sends, receives in batches[place][self.batches_left[rank] :]:
                self._issue(sends, receives, self.clock[rank])
                arrivals = [self.arrival[message] for message in sends + receives]
                if None in arrivals:
                    missing = zip(sends + receives, arrivals, strict=True)
                    self.waiting.update(
                        (message, rank) for message, there in missing if there is None
                    )
                    return
                for there in arrivals:
                    if there is not None and there > self.clock[rank]:
                        self.clock[rank] = there
                self.batches_left[rank] += 1
            if place == len(ops) or any(self.arrival[message] is None for message in ops[place][3]):
                return
            self.batches_left[rank] = 0
            self.starts[rank].append(self.clock[rank])
            self.clock[rank] += self.durations[rank][place]
            self.ends[rank].append(self.clock[rank])

    def _issue(self, sends: tuple[int, ...], receives: tuple[int, ...], now: Number) -> None:
        """Offer the messages of a batch; those whose other end is there travel now."""
        for mine, theirs, messages in (
            (self.sent, self.posted, sends),
            (self.posted, self.sent, receives),
        ):
            for message in messages:
                if mine[message] is not None:
                    continue
                mine[message] = now
                other = theirs[message]
                if other is not None:
                    self._depart(message, self.sent[message], max(now, other))
                    if message in self.waiting:
                        self.ready.append(self.waiting.pop(message))

    def _depart(self, message: int, sent: Number | None, now: Number) -> None:
        """The message leaves when its channel is free of the ones before it."""
        self.sent[message] = sent
        if self.instant:
            self.departure[message] = self.arrival[message] = now
            return
        wire = self.numbering.wires[message // self.numbering.n]
        channel = (wire.source, wire.destination)
        network = self.network
        is_activation = wire.payload is Payload.ACTIVATION
        size = network.activation_size if is_activation else network.gradient_size
        start = max(now, self.channel_free.get(channel, now))
        self.channel_free[channel] = start + network.occupancy(size)
        self.departure[message] = start
        self.arrival[message] = start + network.transfer_time(size)


class _Transfers(Sequence[Transfer]):
    """The messages of a run in order of their index, made when looked at."""

    def __init__(
        self,
        numbering: Numbering,
        sent: list[Number | None],
        departure: list[Number | None],
        arrival: list[Number | None],
    ) -> None:
        self._numbering = numbering
        self._times = sent, departure, arrival
        self._indices = [index for index, there in enumerate(arrival) if there is not None]

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, place: int) -> Transfer: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Transfer]: ...

    def __getitem__(self, place: int | slice) -> Transfer | Sequence[Transfer]:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        index = self._indices[place]
        sent, start, end = (times[index] for times in self._times)
        assert sent is not None
        assert start is not None
        assert end is not None
        return Transfer(self._numbering.message(index), sent, start, end)
