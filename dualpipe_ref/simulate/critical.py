"""Why a run takes as long as it does: one chain of ops and messages from time 0 to the makespan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import Message, Op, Payload
from dualpipe_ref.simulate.costs import Network, Number
from dualpipe_ref.simulate.timeline import Timeline

MESSAGE = "message"


class Step(NamedTuple):
    """One link of the chain. `kind` is the op's kind or "message"; `rank` runs the op or sends the message.

    A message that only held up the next one of its channel counts until the channel is free again.
    """

    kind: str
    rank: int
    start: Number
    end: Number
    what: Op | Message


@dataclass(frozen=True)
class CriticalPath:
    """A chain of steps without a gap: each starts when the one before it ends, and because it ends.

    Several chains can be critical at once; this is one of them. Longer ops on it make a longer run.
    """

    steps: tuple[Step, ...]

    @cached_property
    def by_kind(self) -> dict[str, Number]:
        """Time on the path by kind of op, and for messages; the values add up to the makespan."""
        total: dict[str, Number] = {}
        for step in self.steps:
            total[step.kind] = total.get(step.kind, 0) + step.end - step.start
        return total


def critical_path(timeline: Timeline, network: Network | None = None) -> CriticalPath:
    """The steps that bind a run simulated with this network, from 0 to the makespan.

    An op is bound by the op before it on its rank or by a message that it needs; a message by the op
    after which it was sent, by the one before it on a busy channel, or, where sends block, by the
    receiver coming late; and there a rank is bound by every message of its batch. Where several
    bind, the rank's own work comes first. `InputError` where nothing binds: then the timeline was
    not simulated with this network (or was measured).

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import Costs, simulate
    >>> network = Network(latency=1)
    >>> timeline = simulate(build("1f1b", ranks=2, microbatches=2), Costs(F=2, I=2, W=1), network)
    >>> path = critical_path(timeline, network)
    >>> timeline.makespan, path.by_kind
    (17, {'F': 6, 'message': 2, 'B': 9})
    """
    return CriticalPath(tuple(_Search(timeline, network or Network()).backwards())[::-1])


class _Moment(NamedTuple):
    """An op, or a batch of messages: when its rank came to it, when it began and when it was over.

    `messages` are those that it may have waited for.
    """

    op: Op | None
    messages: tuple[int, ...]
    reached: Number
    start: Number
    end: Number


class _Place(NamedTuple):
    """The moment at `place` of a rank."""

    rank: int
    place: int


class _Wait(NamedTuple):
    """A message that kept something waiting until `until`: its arrival, or the channel's release."""

    message: int
    until: Number


class _Search:
    """The programs with their times, where each message stands in them, and what binds what."""

    def __init__(self, timeline: Timeline, network: Network) -> None:
        self.timeline, self.network = timeline, network
        index = timeline.schedule.numbering.message_index
        self.transfers = {index(transfer.message): transfer for transfer in timeline.transfers}
        self.sent_at: dict[int, _Place] = {}
        self.received_at: dict[int, _Place] = {}
        self.before_on_channel: dict[int, int] = {}
        self.moments = [list(self._walk(rank)) for rank in range(timeline.schedule.ranks)]

    def backwards(self) -> Iterator[Step]:
        """The steps of the path, the last one first."""
        ends = self.timeline.ends
        rank = max(range(len(ends)), key=lambda rank: ends[rank][-1:])
        ops = [index for index, moment in enumerate(self.moments[rank]) if moment.op]
        link: _Place | _Wait | None = _Place(rank, ops[-1]) if ops else None
        while link is not None:
            step, link = self._before(link) if isinstance(link, _Place) else self._message(link)
            if step is not None:
                yield step

    def _walk(self, rank: int) -> Iterator[_Moment]:
        """Give every event of the rank its times, and note where its messages are issued."""
        now: Number = 0
        index = 0
        last_to: dict[int, int] = {}
        schedule = self.timeline.schedule
        spans = [*self.timeline.spans[rank], None]
        flat_ops = [*schedule.flat_ops[rank], None]
        for span, flat, group in zip(spans, flat_ops, schedule.batches[rank], strict=True):
            for sends, receives in group:
                self.sent_at |= dict.fromkeys(sends, _Place(rank, index))
                self.received_at |= dict.fromkeys(receives, _Place(rank, index))
                self._order_channel(sends, last_to)
                end = self._leaves(sends + receives, now)
                yield _Moment(None, sends + receives, now, now, end)
                now, index = end, index + 1
            if span and flat:
                yield _Moment(span.op, flat[3], now, span.start, span.end)
                now, index = span.end, index + 1

    def _leaves(self, messages: tuple[int, ...], now: Number) -> Number:
        """When a rank that issues these messages now goes on."""
        if self.network.sends == "eager":
            return now
        return max([now, *(self.transfers[message].end for message in messages)])

    def _order_channel(self, sends: tuple[int, ...], last_to: dict[int, int]) -> None:
        """Note which message each send follows on its channel."""
        for message in sends:
            destination = self.transfers[message].message.destination
            if destination in last_to:
                self.before_on_channel[message] = last_to[destination]
            last_to[destination] = message

    def _before(self, at: _Place) -> tuple[Step | None, _Place | _Wait | None]:
        """The step of this moment (none for a batch), and what it waited for last."""
        if at.place < 0:
            return None, None
        op, messages, reached, start, end = self.moments[at.rank][at.place]
        step = Step(op.kind.value, at.rank, start, end, op) if op else None
        bound = start if op else end
        if bound == reached:
            return step, _Place(at.rank, at.place - 1)
        for message in messages:
            if self.transfers[message].end == bound:
                return step, _Wait(message, bound)
        raise _unbound(f"{op or 'a batch'} on rank {at.rank}", bound)

    def _message(self, wait: _Wait) -> tuple[Step, _Place | _Wait | None]:
        """The step of a message, and what it waited for: one of its two ends, or the channel."""
        message, _, start, _ = self.transfers[wait.message]
        step = Step(MESSAGE, message.source, start, wait.until, message)
        issued = [self.sent_at[wait.message]]
        if self.network.sends == "rendezvous":
            issued.append(self.received_at[wait.message])
        for rank, index in issued:
            if self.moments[rank][index].reached == start:
                return step, _Place(rank, index - 1)
        before = self.before_on_channel.get(wait.message)
        if before is not None and self._channel_free(before) == start:
            return step, _Wait(before, start)
        raise _unbound(f"the {message}", start)

    def _channel_free(self, message: int) -> Number:
        """When this message no longer keeps the next one of its channel waiting."""
        transfer, network = self.transfers[message], self.network
        is_activation = transfer.message.payload is Payload.ACTIVATION
        size = network.activation_size if is_activation else network.gradient_size
        return transfer.start + network.occupancy(size)


def _unbound(what: str, time: Number) -> InputError:
    return InputError(
        "every wait of a run ends with something that it waited for",
        f"{what} going on at {time}, when nothing that it needs ends",
        "simulate(schedule, costs, network) and this same network",
    )
