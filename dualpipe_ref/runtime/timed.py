"""A device that takes an op's time instead of computing it: schedules on real processes and messages, with costs of one's choice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dualpipe_ref.runtime.executor import Executor, Mail
from dualpipe_ref.runtime.point_to_point import PointToPoint
from dualpipe_ref.runtime.recorder import Recorder
from dualpipe_ref.schedule import Chunk, Op, OpKind, Payload, Schedule
from dualpipe_ref.simulate import Costs

SPIN = 200_000  # ns before a deadline that are spent looking at the clock: a sleep ends late
SHAPE = (1,)  # of what travels


class TimedWorker:
    """Holds its rank until an op's time is over; takes and makes mail as a real worker does (see `executor.Worker`).

    `durations` has the time of each op of the rank, in order, in ns. Times add up from deadline to deadline, not from
    wake-up to wake-up: an op that waited for nothing began when the one before it was due. What was there within `SPIN`
    of being asked for counts as not waited for.
    """

    def __init__(
        self, schedule: Schedule, rank: int, durations: Sequence[float], recorder: Recorder
    ) -> None:
        self.homes = schedule.placement.homes[rank]
        self.last = schedule.placement.stages - 1
        self.durations, self.recorder = durations, recorder
        self.deadline: float = 0
        self._receives = 0

    def run(self, op: Op, mail: Mail) -> None:
        """One op: its inputs leave the mail, its time goes by, its outputs are there."""
        place = len(self.recorder.ops)
        self.deadline = self._began(place) + self.durations[place]
        forward, backward = op.forward, op.backward if op.kind is not OpKind.W else None
        if forward:
            self._take(Payload.ACTIVATION, forward, -1, mail)
        if backward:
            self._take(Payload.GRADIENT, backward, 1, mail)
        hold_until(self.deadline, self.recorder.clock)
        if forward:
            self._make(Payload.ACTIVATION, forward, self.last, mail)
        if backward:
            self._make(Payload.GRADIENT, backward, 0, mail)

    def _began(self, place: int) -> float:
        """When the op's inputs were there and its rank was free."""
        if place == 0:
            self._receives, self.deadline = 0, 0
        new = self.recorder.receives[self._receives :]
        self._receives += len(new)
        awaited = [here for _, asked, here in new if here - asked > SPIN]
        if place == 0 and not awaited:
            return self.recorder.clock()
        return max([self.deadline, *awaited])

    def _take(self, payload: Payload, chunk: Chunk, step: int, mail: Mail) -> None:
        direction, stage = self.homes[chunk.slot]
        if 0 <= stage + step <= self.last:
            del mail[payload, direction, stage + step, chunk.microbatch]

    def _make(self, payload: Payload, chunk: Chunk, end: int, mail: Mail) -> None:
        direction, stage = self.homes[chunk.slot]
        if stage != end:
            mail[payload, direction, stage, chunk.microbatch] = _token()


def _token() -> Tensor:
    return torch.zeros(SHAPE)


def hold_until(deadline: float, clock: Callable[[], int]) -> None:
    """Return as soon as `clock` shows `deadline`, in ns: asleep, and awake only for the last `SPIN` ns."""
    while (left := deadline - clock()) > 0:
        if left > SPIN:
            time.sleep((left - SPIN) / 1e9)


def timed_executor(
    schedule: Schedule,
    rank: int,
    costs: Costs,
    unit: float,
    group: torch.distributed.ProcessGroup | None = None,
) -> Executor:
    """This rank of a schedule on such devices; one unit of `costs` takes `unit` ns. All ranks make it together.

    >>> from dualpipe_ref.schedule import build
    >>> alone = {"store": torch.distributed.HashStore(), "rank": 0, "world_size": 1}
    >>> torch.distributed.init_process_group("gloo", **alone)
    >>> executor = timed_executor(build("gpipe", 2, 1), 0, Costs(F=2), 1e6)
    >>> executor.worker.durations
    [2000000.0, 2000000.0]
    >>> torch.distributed.destroy_process_group()
    """
    recorder = Recorder()
    durations = [float(cost) * unit for cost in costs.durations(schedule, rank)]
    worker = TimedWorker(schedule, rank, durations, recorder)
    return Executor(schedule, rank, worker, PointToPoint(SHAPE, torch.float32, group), recorder)
