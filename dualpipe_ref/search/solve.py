"""Run a search for a while: the best order so far, a bound that none goes below, and a bar that shows both."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import Schedule
from dualpipe_ref.schedule.messages import assemble
from dualpipe_ref.schedule.occupancy import peaks
from dualpipe_ref.schedule.verify import verify
from dualpipe_ref.search.model import Model
from dualpipe_ref.search.problem import Problem
from dualpipe_ref.search.solver import cp_model
from dualpipe_ref.simulate.engine import simulate


class NothingFoundError(RuntimeError):
    """No order was found in the time that was given, or there is none."""


@dataclass(frozen=True)
class Found:
    """The best order of a search. No order has a makespan below `bound`; where `optimal`, that is its own.

    `interrupted` says that the search was stopped by hand.
    """

    schedule: Schedule
    makespan: Fraction
    bound: Fraction
    seconds: float
    interrupted: bool = False

    @property
    def optimal(self) -> bool:
        return self.makespan == self.bound

    @property
    def gap(self) -> float:
        """By how much of the bound the makespan is above it."""
        return float(self.makespan / self.bound) - 1


def search(
    problem: Problem,
    *,
    seconds: float = 60,
    known: Schedule | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Found:
    """The fastest schedule of `problem` that is found in `seconds`, verified and simulated.

    `known` is a schedule that keeps the rules, to begin with: no slower one is returned. `workers` are threads (default:
    one a core); `progress` shows time, best and bound on stderr. Control-C ends the search and returns
    the best so far. Raises `NothingFoundError`, and `InputError` where `known` breaks a cap.

    >>> from dualpipe_ref.search import Problem
    >>> found = search(Problem("linear", 2, 3), seconds=20)
    >>> found.makespan, found.optimal, found.schedule
    (Fraction(10, 1), True, Schedule('zb-h1', P=2, m=3, 18 ops, 6 messages))
    """
    if not 0 < seconds < float("inf"):
        raise InputError("seconds are more than 0", f"seconds = {seconds}", "seconds = 60")
    if known is not None:
        check_caps(problem, known, "the schedule to begin with")
    model = Model(problem, known)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = workers or os.cpu_count() or 1
    solver.parameters.random_seed = 1
    began = time.monotonic()
    with _Bar(seconds, problem.scale(), progress) as bar:
        solver.best_bound_callback = bar.on_bound
        status = solver.solve(model.cp, bar.on_best)
    took = time.monotonic() - began
    if status == cp_model.INFEASIBLE:
        raise NothingFoundError("no order keeps these caps")
    # The solver takes control-C itself, and says nothing of it; it may be early by a little.
    stopped = status != cp_model.OPTIMAL and took < seconds - max(0.5, 0.1 * seconds)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        why = "stopped by hand" if stopped else f"{seconds:g} s are over"
        raise NothingFoundError(f"no order was found yet: {why}")
    return _checked(problem, model, solver, took, stopped)


def check_caps(problem: Problem, schedule: Schedule, what: str) -> None:
    """Raise `InputError` where a rank of `schedule` holds more than `problem` allows."""
    highest = peaks(schedule)
    for name, found in (("max_activations", highest.activations), ("max_held", highest.held)):
        caps = problem.caps(name)
        for rank, (cap, peak) in enumerate(zip(caps or found, found, strict=True)):
            if peak > cap:
                raise InputError(
                    f"{what} keeps {name}", f"rank {rank} holds {peak} of {cap}", f"{name} = {peak}"
                )


def _checked(
    problem: Problem, model: Model, solver: Any, seconds: float, interrupted: bool
) -> Found:
    """The order as a schedule; nothing is taken over from the solver that the package has not checked."""
    ops = model.order(solver.value)
    chunks = problem.chunks if problem.placement == "looped" else None
    made = assemble(problem.kind, problem.ranks, problem.microbatches, ops.__getitem__, chunks)
    verify(made)
    check_caps(problem, made, "what was found")
    makespan = Fraction(simulate(made, problem.costs).makespan)
    scale = problem.scale()
    claimed = Fraction(round(solver.objective_value), scale)
    bound = Fraction(round(solver.best_objective_bound), scale)
    # An order may be run faster than the solver had time to see, but not faster than its bound.
    if not bound <= makespan <= claimed:
        raise AssertionError(
            f"the solver says {bound} to {claimed}, the simulator {makespan}: a constraint is wrong"
        )
    return Found(made, makespan, bound, seconds, interrupted)


class _Bar:
    """Time, best and bound on stderr: a bar of tqdm's on a terminal, else a line for each better order."""

    def __init__(self, seconds: float, scale: int, wanted: bool) -> None:
        self.scale, self.best, self.bound = scale, "-", "-"
        self._bar: Any = None
        self._done = threading.Event()
        self._began = time.monotonic()
        self._lines = wanted and not sys.stderr.isatty()
        if wanted and not self._lines:
            from tqdm import tqdm  # type: ignore[import-untyped]

            self._bar = tqdm(total=round(seconds), unit="s", leave=False, file=sys.stderr)
        bar = self

        class OnBest(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
            """Told of each better order."""

            def on_solution_callback(self) -> None:
                bar.best = bar._shown(self.objective_value)
                if bar._lines:
                    after = time.monotonic() - bar._began
                    said = f"... {after:.1f} s: best {bar.best}, bound {bar.bound}"
                    print(said, file=sys.stderr, flush=True)

        self.on_best = OnBest()

    def on_bound(self, bound: float) -> None:
        """Told of each better bound."""
        self.bound = self._shown(bound)

    def _shown(self, value: float) -> str:
        return f"{value / self.scale:g}"

    def __enter__(self) -> _Bar:
        if self._bar is not None:
            self._thread = threading.Thread(target=self._draw, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._bar is not None:
            self._thread.join()
            self._bar.close()

    def _draw(self) -> None:
        while not self._done.wait(0.5):
            self._bar.n = min(self._bar.total, int(time.monotonic() - self._began))
            self._bar.set_postfix(best=self.best, bound=self.bound)
