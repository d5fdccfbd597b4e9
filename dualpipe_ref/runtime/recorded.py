"""A run that was recorded: its steps, each as it really went, in memory and in a file. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dualpipe_ref.schedule import InputError, Message, Op, Schedule
from dualpipe_ref.schedule.errors import shortened
from dualpipe_ref.schedule.files import write_text
from dualpipe_ref.schedule.formats import from_dict, to_dict
from dualpipe_ref.schedule.verify import verify
from dualpipe_ref.schedule.violations import Place, Rule, VerificationError, Violation
from dualpipe_ref.simulate import Timeline, Transfer

FORMAT = "dualpipe_ref run, version 1"
UNIT = "ns"
WHAT = "a file of a recorded run"


class Passage(NamedTuple):
    """One message: issued at `sent`; its receiver needed it at `asked`, and had it at `here`.

    Where `here` is hardly later than `asked` it was there before, nobody noted when.
    """

    message: Message
    sent: int
    asked: int
    here: int


@dataclass(frozen=True)
class RecordedStep:
    """What one step did, in ns from the start of its first op. `ops[rank]` stand as they really ran."""

    ops: tuple[tuple[Op, ...], ...]
    starts: tuple[tuple[int, ...], ...]
    ends: tuple[tuple[int, ...], ...]
    passages: tuple[Passage, ...]

    def timeline(self, schedule: Schedule) -> Timeline:
        """The step as every plot and check takes it. Raises `VerificationError` where the order is another."""
        found = tuple(order_violations(self, schedule))
        if found:
            raise VerificationError(found)
        transfers = tuple(
            Transfer(one.message, one.sent, one.sent, one.here) for one in self.passages
        )
        return Timeline(schedule, self.starts, self.ends, transfers, "recorded", UNIT)


@dataclass(frozen=True)
class RecordedRun:
    """Steps of one schedule, with whatever `settings` describe the run; `clock_errors[rank]` in ns."""

    schedule: Schedule
    steps: tuple[RecordedStep, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    clock_errors: tuple[float, ...] = ()

    def timelines(self) -> list[Timeline]:
        """All steps. Raises `VerificationError`, which names step, rank, place and ops, where an order is another."""
        found = [
            one
            for number, step in enumerate(self.steps)
            for one in order_violations(step, self.schedule, f"in step {number} ")
        ]
        if found:
            raise VerificationError(tuple(found[:20]))
        return [step.timeline(self.schedule) for step in self.steps]


def order_violations(
    step: RecordedStep, schedule: Schedule, where: str = ""
) -> Iterator[Violation]:
    """The first op of each rank that is not the schedule's."""
    for rank, (ops, expected) in enumerate(zip(step.ops, schedule.ops, strict=True)):
        for place in range(max(len(ops), len(expected))):
            op = ops[place] if place < len(ops) else None
            wanted = expected[place] if place < len(expected) else None
            if op != wanted:
                what = f"{where}the schedule has {wanted or 'no further op'} here"
                yield Violation(Rule.ORDER, Place(rank, place, op), what)
                break


def write_run(run: RecordedRun, path: str | Path) -> None:
    """Write the run whole or not at all. Raises `InputError` for settings that JSON has not."""
    content = {
        "format": FORMAT,
        "unit": UNIT,
        "settings": dict(run.settings),
        "schedule": to_dict(run.schedule),
        "clock_errors": list(run.clock_errors),
        "steps": [_step_to_dict(step) for step in run.steps],
    }
    try:
        text = json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError("the settings of a run are plain JSON", str(error)) from None
    write_text(path, text + "\n")


def _step_to_dict(step: RecordedStep) -> dict[str, Any]:
    return {
        "ops": [[str(op) for op in ops] for ops in step.ops],
        "starts": step.starts,
        "ends": step.ends,
        "messages": [[*_name(one.message), one.sent, one.asked, one.here] for one in step.passages],
    }


def _name(message: Message) -> list[Any]:
    return [message.payload, message.direction, message.stage, message.microbatch]


def read_run(path: str | Path) -> RecordedRun:
    """The run of a file. Raises `InputError` where it cannot be read, or holds what no run can have done.

    An order of ops that is not the schedule's is kept: `RecordedRun.timelines` judges it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        data = json.loads(text, parse_constant=_no_constant)
    except OSError as error:
        raise InputError(f"{WHAT} must be readable", f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{WHAT} is one JSON object", f"{path}: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("unit") != UNIT:
        raise InputError(f"{WHAT} has format {FORMAT!r} and unit {UNIT!r}", str(path))
    schedule = _schedule(data)
    settings, errors = data.get("settings"), _list(data.get("clock_errors"), "clock_errors")
    if not isinstance(settings, dict):
        raise InputError("settings is one JSON object", shortened(settings))
    if not all(type(one) in (int, float) for one in errors):
        raise InputError("clock_errors are numbers", shortened(errors))
    reader = _StepReader(schedule)
    steps = enumerate(_list(data.get("steps"), "steps"))
    found = tuple(reader.step(one, f"step {number}") for number, one in steps)
    return RecordedRun(schedule, found, settings, tuple(errors))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _schedule(data: dict[str, Any]) -> Schedule:
    loaded = from_dict(data.get("schedule"))
    if loaded.violations:
        raise VerificationError(loaded.violations)
    return verify(loaded.schedule, rendezvous=False)


class _StepReader:
    """Finds ops and messages by their names, and asks of each step what holds for every real one."""

    def __init__(self, schedule: Schedule) -> None:
        self.ops = [{str(op): op for op in ops} for ops in schedule.ops]
        numbering = schedule.numbering
        every = [
            numbering.message(index)
            for ops in schedule.flat_ops
            for flat in ops
            for index in flat[3]
        ]
        self.messages = {json.dumps(_name(one)): one for one in every}

    def step(self, data: object, where: str) -> RecordedStep:
        if not isinstance(data, dict):
            raise InputError("a step is one JSON object", f"{shortened(data)} in {where}")
        ops, starts, ends = (self._rows(data, name, where) for name in ("ops", "starts", "ends"))
        for rank in range(len(self.ops)):
            _check_times(starts[rank], ends[rank], len(ops[rank]), f"rank {rank} in {where}")
        if min((row[0] for row in starts if row), default=0) != 0:
            raise InputError("times count from the first op's start, 0", where)
        named = tuple(
            tuple(self._op(rank, name, where) for name in row) for rank, row in enumerate(ops)
        )
        passages = [self._passage(one, where) for one in _list(data.get("messages"), "messages")]
        if sorted(one.message for one in passages) != sorted(self.messages.values()):
            raise InputError(
                "a step has every message of its schedule once",
                f"{len(passages)} in {where}",
                str(len(self.messages)),
            )
        return RecordedStep(named, _frozen(starts), _frozen(ends), tuple(passages))

    def _rows(self, data: dict[str, Any], name: str, where: str) -> list[list[Any]]:
        rows = [_list(row, name) for row in _list(data.get(name), name)]
        if len(rows) != len(self.ops):
            raise InputError(
                f"{name} has one list a rank", f"{len(rows)} in {where}", str(len(self.ops))
            )
        return rows

    def _op(self, rank: int, name: object, where: str) -> Op:
        if not isinstance(name, str) or name not in self.ops[rank]:
            raise InputError(
                "a rank runs the ops of its schedule",
                f"{shortened(name)} on rank {rank} in {where}",
                next(iter(self.ops[rank]), None),
            )
        return self.ops[rank][name]

    def _passage(self, data: object, where: str) -> Passage:
        if isinstance(data, list) and len(data) == 7:
            *name, sent, asked, here = data
            message = self.messages.get(json.dumps(name))
            if message and _are_ints((sent, asked, here)) and asked <= here and sent <= here:
                return Passage(message, sent, asked, here)
        raise InputError(
            "a message is [payload, direction, stage, micro-batch, sent, asked, here], one of its schedule's",
            f"{shortened(data)} in {where}",
        )


def _check_times(starts: list[Any], ends: list[Any], ops: int, where: str) -> None:
    if not len(starts) == len(ends) == ops:
        raise InputError(
            "every op has a start and an end",
            f"{ops} ops, {len(starts)} starts, {len(ends)} ends on {where}",
        )
    times = [time for both in zip(starts, ends, strict=True) for time in both]
    if not _are_ints(times) or times != sorted(times):
        raise InputError("the times of a rank are whole ns and never go back", where)


def _are_ints(values: Sequence[object]) -> bool:
    return all(type(value) is int for value in values)


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{name} is a list", shortened(value))
    return value


def _frozen(rows: list[list[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, rows))
