"""What is right of each candidate for a run: simulated orders, footprints and books of the package."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from dualpipe_ref.schedule import InputError, Schedule, build
from dualpipe_ref.simulate import Costs, find_formula, simulate
from dualpipe_ref.simulate.chunk_bytes import ChunkBytes
from dualpipe_ref.simulate.cluster.overlapped import interleaved_overlapped
from dualpipe_ref.simulate.deployment import Precision, Sharing, stage_bytes
from dualpipe_ref.simulate.footprint import footprint
from dualpipe_ref.simulate.shapes import Parameters
from dualpipe_ref.simulate.waiting import Ledger, ledger

from .case import GIB, Run

Q = Fraction
KINDS = {
    "1F1B": "1f1b",
    "ZB-V": "zb-v",
    "DualPipe": "dualpipe",
    "DualPipeV": "dualpipev",
    "Interleaved": "interleaved-overlapped",
}
NAMES = tuple(KINDS)
PAIRED = NAMES[2:]
MILLISECONDS_AN_HOUR = 3_600_000
TRILLION = 10**12


class Line(NamedTuple):
    """A step's time as a function of the pair's: `fixed` + `slope` x FB, in ms."""

    fixed: Fraction
    slope: Fraction

    def at(self, pair: Fraction) -> Fraction:
        return self.fixed + self.slope * pair


@dataclass(frozen=True)
class Row:
    """One candidate: None for what cannot be said of it."""

    name: str
    time: Fraction | None
    tier: str | None
    why: str | None
    lost: Fraction | None
    bytes: int | None
    fits: bool
    hours: Fraction | None


def computing(run: Run) -> Fraction:
    return run.F + run.I + run.W


def network(run: Run) -> Fraction:
    return run.exchange_F + run.exchange_I


def books(run: Run) -> Ledger:
    """A forward and a backward one after the other wait for their all-to-alls; as a pair they hide what fits beside them."""
    waiting = network(run) / (computing(run) + network(run))
    open_ = ledger(run.gpus, waiting, 0, run.reserved, run.sms)
    return replace(open_, hidden=min(run.hidden, open_.hideable))


def costs_of(run: Run) -> Costs:
    """Of 1/P of the model: alone with the all-to-alls in the open, and as a pair."""
    pair = (computing(run) + network(run)) * books(run).step_after
    return Costs(run.F + run.exchange_F, run.I + run.exchange_I, run.W, FB=pair)


def parts(run: Run) -> dict[str, Fraction]:
    """What `ledger` must say."""
    costs, book = costs_of(run), books(run)
    hidden = network(run) * book.hidden
    tax = dict(book.parts_after)["SM tax"] * (computing(run) + network(run))
    return {
        "F": Q(costs.of("F")),
        "B": Q(costs.of("B")),
        "pair": Q(costs.of("FB")),
        "hidden": hidden,
        "exposed": network(run) - hidden,
        "tax": tax,
    }


@cache
def order(name: str, ranks: int, microbatches: int) -> Schedule | None:
    """None where there is no such order."""
    try:
        if name == "Interleaved":
            return interleaved_overlapped(ranks, microbatches)
        return build(KINDS[name], ranks, microbatches)
    except InputError:
        return None


def formula_of(run: Run, name: str, costs: Costs) -> Fraction | None:
    """The step's time by the package's closed form, None outside its domain."""
    size = run.ranks, run.microbatches
    if name == "ZB-V":
        bubble = find_formula("zb-v", "bubble", "exact")
        if not bubble.holds(*size, costs):
            return None
        ops = Q(costs.of("F")) + Q(costs.of("B"))
        return 2 * run.microbatches * ops + Q(bubble.evaluate(*size, costs))
    makespan = find_formula(KINDS[name], "makespan", "exact")
    return Q(makespan.evaluate(*size, costs)) if makespan.holds(*size, costs) else None


@cache
def _line(name: str, ranks: int, microbatches: int, costs: Costs, longest: Fraction) -> Line:
    """From three simulations: a makespan is convex in FB, so if three points lie on a line, all between do."""
    schedule = order(name, ranks, microbatches)
    assert schedule is not None

    def time(pair: Fraction) -> Fraction:
        shared = replace(costs, FB=pair).per_stage_share(schedule)
        return Q(simulate(schedule, shared).makespan)

    least = max(Q(costs.of("F")), Q(costs.of("B")))
    if name not in PAIRED:
        return Line(time(least), Q(0))
    middle = (least + longest) / 2
    slope = (time(longest) - time(least)) / (longest - least)
    line = Line(time(least) - slope * least, slope)
    assert line.at(middle) == time(middle)
    return line


@cache
def line_of(run: Run, name: str) -> Line:
    """Of an order that exists, from the shortest pair that can be to one on a single SM."""
    alone = replace(costs_of(run), FB=None)
    longest = max(parts(replace(run, reserved=run.sms - 1))["pair"], 2 * Q(alone.of("B")))
    return _line(name, run.ranks, run.microbatches, alone, longest)


def held_by(run: Run, name: str) -> int | None:
    """Bytes of the fullest rank; None where there is no such order."""
    schedule = order(name, run.ranks, run.microbatches)
    if schedule is None:
        return None
    share = Q(run.ranks, schedule.placement.stages)
    chunk = _whole(run.chunk_bytes * share)
    stored = Precision(run.parameter_bytes, run.gradient_bytes, run.state_bytes // 2)
    parameters = _whole(run.parameters * share)
    return _fullest(name, run.ranks, run.microbatches, chunk, parameters, stored, run.gpus)


@cache
def _fullest(
    name: str,
    ranks: int,
    microbatches: int,
    chunk: int,
    parameters: int,
    stored: Precision,
    gpus: int,
) -> int:
    schedule = order(name, ranks, microbatches)
    assert schedule is not None
    placement = schedule.placement
    stage = stage_bytes(
        Parameters(parameters, 0),
        ChunkBytes({"kept": chunk}, {"kept": chunk}),
        stored,
        Sharing(1, gpus // ranks, placement.directions),
    )
    found = footprint(simulate(schedule), [stage] * placement.stages)
    return max(peak.total for peak in found.peaks)


def _whole(number: Fraction) -> int:
    assert number.denominator == 1
    return number.numerator


def hours_of(run: Run, time: Fraction) -> Fraction:
    """GPU hours for a trillion tokens."""
    tokens = run.gpus // run.ranks * run.microbatches * run.tokens
    return time / MILLISECONDS_AN_HOUR * run.gpus * TRILLION / tokens


def row_of(run: Run, name: str) -> Row:
    time, tier, why = _timed(run, name)
    held = held_by(run, name)
    fits = held is not None and held <= run.memory * GIB
    if time is None:
        return Row(name, None, None, why, None, held, fits, None)
    lost = 1 - run.microbatches * computing(run) / time
    return Row(name, time, tier, None, lost, held, fits, hours_of(run, time))


def _timed(run: Run, name: str) -> tuple[Fraction | None, str | None, str | None]:
    schedule = order(name, run.ranks, run.microbatches)
    if schedule is None:
        return None, None, "order"
    costs = costs_of(run)
    if name in PAIRED and costs.of("FB") < max(costs.of("F"), costs.of("B")):
        return None, None, "pair"
    time = line_of(run, name).at(Q(costs.of("FB")))
    if name == "Interleaved":  # its closed form is in the task alone, and the simulation shows it
        return time, "formula", None
    formula = formula_of(run, name, costs.per_stage_share(schedule))
    if formula is not None:
        assert formula == time, (run, name, formula, time)
        return time, "formula", None
    if any(entry[:2] == (name, run.microbatches) for entry in run.simulated):
        return time, "simulated", None
    return None, None, "costs"


@cache
def rows_of(run: Run) -> tuple[Row, ...]:
    return tuple(row_of(run, name) for name in NAMES)
