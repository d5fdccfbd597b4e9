"""What an answer to chapter 15 must do: end a step as one device would, and read a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from reprlib import repr as short
from typing import Any

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.schedule import KINDS

from .machine import STEPS, Action, Machine, Process, StuckError, Task, name_of, one_device, task_of
from .traces import Case, cases

WITH_STAGE = ("sum", "norm", "step", "zero")


def tasks() -> Iterator[Task]:
    """Every schedule, on one pipeline and on two, smallest first."""
    for ranks in (2, 4):
        for copies in (1, 2):
            for kind in KINDS:
                yield task_of(kind, ranks, copies)


def scales(answer: Answer) -> Fault | None:
    """The scaled means add up to the mean over all tokens, whatever the losses are."""
    for task in tasks():
        got = call(answer, "loss_scales", task.tokens)
        if not _is_like(got, task.tokens):
            return Fault(f"{task}: {short(got)} is not one number for each of {task.tokens}")
        total = sum(map(sum, task.tokens))
        for copy, (numbers, given) in enumerate(zip(task.tokens, got, strict=True)):
            for microbatch, (number, scale) in enumerate(zip(numbers, given, strict=True)):
                if scale != Fraction(number, total):
                    return Fault(
                        f"{task}: micro-batch {microbatch} of copy {copy} has {number} of"
                        f" {total} tokens, and its mean loss gets the scale {scale}"
                    )
    return None


def _is_like(got: Any, tokens: list[list[int]]) -> bool:
    """A number for each micro-batch of each copy."""
    if not isinstance(got, list | tuple) or len(got) != len(tokens):
        return False
    return all(
        isinstance(row, list | tuple)
        and len(row) == len(numbers)
        and all(type(one) in (int, float, Fraction) for one in row)
        for row, numbers in zip(got, tokens, strict=True)
    )


def programs_of(answer: Answer, task: Task) -> dict[Process, list[Action]]:
    """What each process does. Raises `Fault` for an action that is none."""
    programs = {}
    for copy in range(task.copies):
        for rank, own in enumerate(task.held):
            items = call(answer, "finish_step", rank, copy, task.held)
            if not isinstance(items, list | tuple):
                raise Fault(f"{task}: finish_step returns {short(items)}, not a list of actions")
            name = f"{task}: {name_of((copy, rank))}"
            programs[copy, rank] = [_action(item, own, name) for item in items]
    return programs


def _action(item: Any, own: list[int], where: str) -> Action:
    match item:
        case ["clip"]:
            return ("clip",)
        case [str(name), int(stage)] if name in WITH_STAGE:
            if stage not in own:
                raise Fault(f"{where} does {name} for stage {stage}, and holds {own}")
            return name, stage
    raise Fault(f'{where}: {short(item)} is no action: write ("sum", stage) or ("clip",)')


def deadlock(answer: Answer) -> Fault | None:
    """Every process moves each of its weights once, and reaches the end of what it does."""
    for task in tasks():
        programs = programs_of(answer, task)
        for process, actions in programs.items():
            for stage in task.held[process[1]]:
                if (times := actions.count(("step", stage))) != 1:
                    what = f"{name_of(process)} moves stage {stage} {times} times in a step"
                    return _fault(task, what, [process[1]])
        try:
            Machine(task).finish(programs)
        except StuckError as stuck:
            return _fault(task, str(stuck), range(task.schedule.ranks))
    return None


def equal(answer: Answer) -> Fault | None:
    """After each of three steps all processes have the weights of one device."""
    for task in tasks():
        programs, machine, wanted = programs_of(answer, task), Machine(task), one_device(task)
        for step in range(STEPS):
            machine.backward(step)
            machine.finish(programs)
            for process, state in machine.states.items():
                for stage, weight in state.weights.items():
                    if weight != wanted[step][stage]:
                        what = (
                            f"after step {step} stage {stage} on {name_of(process)} has"
                            f" w = {float(weight):.6g}; one device has {float(wanted[step][stage]):.6g}"
                        )
                        return _fault(task, what, [process[1]])
    return None


def _fault(task: Task, what: str, ranks: Iterable[int]) -> Fault:
    """The step, with the last op of these ranks marked: what is wrong begins behind it."""
    marked = [(rank, len(task.schedule.ops[rank]) - 1) for rank in ranks]
    return Fault(f"{task}: {what}", Counterexample.at(task.schedule, marked, what))


def finds(**chosen: bool) -> Callable[[Answer], Fault | None]:
    """A check: the slow rank of every such case is named, and None where there is none."""

    def find_fault(answer: Answer) -> Fault | None:
        for case in cases(**chosen):
            got = call(answer, "find_straggler", case.spans, list(case.layers))
            if got != case.slow or isinstance(got, bool):
                return _misjudged(case, got)
        return None

    return find_fault


def _misjudged(case: Case, got: Any) -> Fault:
    truth = "no rank is slow"
    if case.slow is not None:
        truth = f"the ops of rank {case.slow} take {case.factor} times as long as those of others"
    what = f"{truth}; find_straggler says {short(got)}"
    return Fault(f"{case}: {what}", case.shown(what))


CHECKS = (
    Check(
        "loss scales",
        "the scaled means add up to the mean over all tokens of all copies",
        scales,
        points=2,
        hint="how much does one token weigh on one device, and how much in a mean over its micro-batch?",
    ),
    Check(
        "deadlock",
        "every process moves each of its stages once, and reaches the end of the step",
        deadlock,
        points=1,
        hint="look at two ranks that hold the same two stages in opposite slots",
    ),
    Check(
        "equal",
        "after each of three steps every process has the weights of one device",
        equal,
        needs=("deadlock",),
        points=3,
        hint="what one device does once must happen once: count who adds to the norm, and when",
    ),
    Check(
        "slow rank",
        "with equal stages the slow rank is named",
        finds(slow=True, unequal=False),
        points=1,
        hint="a rank that waits is late and not slow: take the ops' own times, each kind for itself",
    ),
    Check(
        "healthy",
        "stages of different sizes make nobody a straggler",
        finds(slow=False, unequal=True),
        needs=("slow rank",),  # who always says None has judged nothing
        points=1,
        hint="divide by the layers of the op's stages before you compare",
    ),
    Check(
        "unequal stages",
        "the slow rank is named where its stage is the small one, too",
        finds(slow=True, unequal=True),
        needs=("slow rank", "healthy"),
        points=1,
        hint="time a layer, compared with other ranks that run ops of the same kind",
    ),
    Check(
        "disturbed",
        "an op that was disturbed once hides no straggler and makes none",
        lambda answer: (
            finds(slow=False, unequal=True, disturbed=True)(answer)
            or finds(slow=True, unequal=True, disturbed=True)(answer)
        ),
        needs=("slow rank", "healthy"),
        points=1,
        hint="one value in a hundred moves a mean, and moves the largest; which number does it not move?",
    ),
)
