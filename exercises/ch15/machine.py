"""A small machine that carries out the end of a step on all processes, in fractions, and the same on one device.

The model adds up: its prediction is the sum over stages of w[stage] * x[stage], its loss the mean over the tokens of a
micro-batch of half the squared error. So every stage has a gradient that depends on all the others, and stays exact.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from dualpipe_ref.schedule import Schedule, build

STEPS = 3
RATE = Fraction(1, 8)
BOUND = Fraction(2)
Process = tuple[int, int]  # copy, rank
Action = tuple[Any, ...]


class Token(NamedTuple):
    """One number for each stage, and what their sum should become."""

    x: tuple[int, ...]
    target: int

    def gradient(self, weights: Sequence[Fraction]) -> list[Fraction]:
        """Of half the squared error, for each stage."""
        error = sum(w * x for w, x in zip(weights, self.x, strict=True)) - self.target
        return [error * x for x in self.x]


@dataclass(frozen=True)
class Task:
    """A schedule on `copies` pipelines; `batches[step][copy][microbatch]` are tokens, of all directions in turns."""

    schedule: Schedule
    copies: int
    batches: list[list[list[list[Token]]]]

    @property
    def tokens(self) -> list[list[int]]:
        """How many each micro-batch of a step has."""
        return [[len(batch) for batch in copy] for copy in self.batches[0]]

    @property
    def held(self) -> list[list[int]]:
        """The stages on each rank, in the order of its slots."""
        return [[stage for _, stage in homes] for homes in self.schedule.placement.homes]

    def __str__(self) -> str:
        schedule, more = self.schedule, f", {self.copies} copies" if self.copies > 1 else ""
        return f"P = {schedule.ranks}, m = {schedule.microbatches}, {schedule.kind}{more}"


def task_of(kind: str, ranks: int, copies: int) -> Task:
    """A task with 2 P micro-batches of 1 to 4 tokens, the same numbers every time."""
    schedule = build(kind, ranks, 2 * ranks)
    draw = random.Random(100 * ranks + copies)
    sizes = [[draw.randint(1, 4) for _ in range(schedule.microbatches)] for _ in range(copies)]

    def token() -> Token:
        stages = schedule.placement.stages
        return Token(tuple(draw.randint(-3, 3) for _ in range(stages)), draw.randint(-9, 9))

    batches = [
        [[[token() for _ in range(size)] for size in copy] for copy in sizes] for _ in range(STEPS)
    ]
    return Task(schedule, copies, batches)


def one_device(task: Task) -> list[list[Fraction]]:
    """The weights after each step, without a pipeline."""
    weights = initial(task)
    after = []
    for step in task.batches:
        tokens = [token for copy in step for batch in copy for token in batch]
        rows = [token.gradient(weights) for token in tokens]
        mean = [sum(column) / len(tokens) for column in zip(*rows, strict=True)]
        factor = clip_factor(sum(map(abs, mean)))
        weights = [w - RATE * factor * g for w, g in zip(weights, mean, strict=True)]
        after.append(weights)
    return after


def initial(task: Task) -> list[Fraction]:
    return [Fraction(stage + 1, 4) for stage in range(task.schedule.placement.stages)]


def clip_factor(norm: Fraction | int) -> Fraction:
    return Fraction(1) if norm <= BOUND else BOUND / Fraction(norm)


class StuckError(Exception):
    """No process can go on; the message says who waits for whom."""


@dataclass
class State:
    """What one process holds for its stages."""

    weights: dict[int, Fraction]
    gradients: dict[int, Fraction]
    norm: Fraction = field(default_factory=Fraction)


class Machine:
    """All processes of a task."""

    def __init__(self, task: Task) -> None:
        self.task, start = task, initial(task)
        self.states = {
            (copy, rank): State({s: start[s] for s in stages}, dict.fromkeys(stages, Fraction(0)))
            for copy in range(task.copies)
            for rank, stages in enumerate(task.held)
        }

    def backward(self, step: int) -> None:
        """Every micro-batch adds its gradient, rightly scaled, on the ranks of its direction."""
        placement = self.task.schedule.placement
        total = sum(map(sum, self.task.tokens))
        for copy, batches in enumerate(self.task.batches[step]):
            for number, batch in enumerate(batches):
                route = placement.routes[number % placement.directions]
                holders = [self.states[copy, rank] for rank, _ in route]
                weights = [state.weights[stage] for stage, state in enumerate(holders)]
                rows = [token.gradient(weights) for token in batch]
                for stage, column in enumerate(zip(*rows, strict=True)):
                    holders[stage].gradients[stage] += sum(column) / total

    def finish(self, programs: dict[Process, list[Action]]) -> None:
        """Carry out what each process does after its backwards. Raises `StuckError`."""
        places = dict.fromkeys(programs, 0)
        while waiting := {p: programs[p][i] for p, i in places.items() if i < len(programs[p])}:
            ready = [p for p in waiting if self._missing(p, waiting) is None]
            if not ready:
                raise StuckError(self._stuck(waiting))
            together = self._members(ready[0], waiting[ready[0]])
            self._carry_out(waiting[ready[0]], together)
            for process in together:
                places[process] += 1

    def _members(self, process: Process, action: Action) -> list[Process]:
        """Who must be there for this action."""
        if action[0] == "clip":
            return list(self.states)
        if action[0] == "sum":
            return [p for p, state in self.states.items() if action[1] in state.weights]
        return [process]

    def _missing(self, process: Process, waiting: dict[Process, Action]) -> Process | None:
        action = waiting[process]
        members = self._members(process, action)
        return next((one for one in members if waiting.get(one) != action), None)

    def _stuck(self, waiting: dict[Process, Action]) -> str:
        process = min(waiting)
        other = self._missing(process, waiting)
        assert other is not None
        there = f"waits in {waiting[other]}" if other in waiting else "has ended"
        return f"{name_of(process)} waits in {waiting[process]} for {name_of(other)}, which {there}"

    def _carry_out(self, action: Action, together: list[Process]) -> None:
        states = [self.states[process] for process in together]
        if action[0] == "clip":
            factor = clip_factor(sum(state.norm for state in states))
            for state in states:
                state.norm = Fraction(0)
                state.gradients = {s: g * factor for s, g in state.gradients.items()}
            return
        name, stage = action
        if name == "sum":
            total = sum((state.gradients[stage] for state in states), Fraction(0))
            for state in states:
                state.gradients[stage] = total
        elif name == "norm":
            states[0].norm += abs(states[0].gradients[stage])
        elif name == "step":
            states[0].weights[stage] -= RATE * states[0].gradients[stage]
        else:
            states[0].gradients[stage] = Fraction(0)


def name_of(process: Process) -> str:
    copy, rank = process
    return f"rank {rank} of copy {copy}"
