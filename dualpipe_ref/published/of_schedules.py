"""Claims about schedules and about waiting that are no formula of one schedule: limits, rankings, copies, the calculator's."""

# The letters of the formulas.
# ruff: noqa: N803, E741

from __future__ import annotations

from fractions import Fraction
from functools import cache, partial

from dualpipe_ref.plot.measured import results
from dualpipe_ref.published.claim import Claim, at
from dualpipe_ref.schedule import InputError, OpKind, build
from dualpipe_ref.schedule.dualpipe import overlap_first_pair
from dualpipe_ref.schedule.kinds import placement_of, slots_of
from dualpipe_ref.schedule.verify import verify
from dualpipe_ref.simulate import Costs, simulate
from dualpipe_ref.simulate.cluster.profile import published as trace
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.lane_search import best_order
from dualpipe_ref.simulate.lanes import LaneCosts, published_order, run_pair
from dualpipe_ref.simulate.waiting import HOPPER_SMS, ledger

_V3 = "DeepSeek-V3 report, arXiv:2412.19437"
_CODE = "released DualPipe code"
_BROWSER = "browser, exact simulation"
_ARITHMETIC = "browser, exact arithmetic"


def _least_by_rule(kind: str, P: int) -> int:
    return 2 * P


@cache
def _least_that_runs(kind: str, P: int) -> int:
    """The least m for which the eight steps give a schedule that the verifier accepts."""
    for m in range(1, 2 * P + 1):
        try:
            verify(build(kind, P, m))
        except InputError:
            continue
        return m
    raise AssertionError(f"no m up to 2P runs: {kind}, P = {P}")


def _lengthening(P: int, m: int, F: Number, I: Number, W: Number, FB: Number) -> Number:
    """How much longer a step is for leaving the first pair of the middle ranks apart; 0 where it is shorter."""
    costs, released = Costs(F, I, W, FB=FB), build("dualpipe", P, m)
    apart = simulate(released, costs).makespan
    return max(0, apart - simulate(overlap_first_pair(released), costs).makespan)


def _faster(P: int, m: int, FB: Number) -> str:
    """Which of ZB-V and DualPipeV ends first, at F = I = W = 1."""
    zero = simulate(build("zb-v", P, m)).makespan
    pairs = simulate(build("dualpipev", P, m), Costs(FB=FB)).makespan
    return "ZB-V" if zero < pairs else "DualPipeV" if pairs < zero else "neither"


def _model_copies(kind: str, P: int) -> Fraction:
    """How often the model is held, if each of P devices holds what this schedule puts on it."""
    placement = placement_of(kind, P, slots_of(kind, None))
    return Fraction(placement.slots * P, placement.stages)


def _speedup(waiting: Fraction, hidden: Fraction, sms: int) -> Fraction:
    return ledger(1, waiting, hidden, sms).speedup


def _speedup_of_overlap(waiting: Fraction) -> Fraction:
    return ledger(1, waiting, ledger(1, waiting, 0).hideable).speedup


def _tile_slowdown(tiles: int, sms: int) -> Fraction:
    """Equal tiles, one an SM at a time: the ratio of whole waves."""
    return Fraction(-(-tiles // (HOPPER_SMS - sms)), -(-tiles // HOPPER_SMS))


def _exposed_share(P: int, m: int) -> float:
    """Of all all-to-alls of a step, if those in pairs are exposed as in the trace and all others wholly."""
    ops = [op for rank in build("dualpipe", P, m).ops for op in rank]
    paired = 2 * sum(op.kind is OpKind.FB for op in ops)
    alone = sum(op.kind in (OpKind.F, OpKind.I, OpKind.B) for op in ops)
    return (alone + paired * _of_the_trace()) / (alone + paired)


def _of_the_trace() -> float:
    share: float = trace()["exposed_ms"] / trace()["communicating_ms"]
    return share


def _times_torch() -> float:
    """Measured; raises `InputError` where the book is not beside the package."""
    found = results("schedule")
    if not found:
        raise InputError("book/results/schedule.json is there", "none", "a checkout")
    return found.value("ratio_to_torch")


def _pair(layers: int, attention: int, dispatch: int, mlp: int, combine: int, order: str) -> Number:
    """How long a pair of a forward and a backward takes on its two lanes."""
    costs = LaneCosts(attention, dispatch, mlp, combine)
    pieces = best_order(layers, costs) if order == "best" else published_order(layers)
    return run_pair(pieces, costs).length


SCHEDULE_CLAIMS = (
    Claim(
        name="the order inside a pair",
        group="schedules",
        source=f"{_V3}, figure 4",
        says="no order of the same pieces is shorter",
        domain="attention, dispatch, MLP and combine equally long",
        corrected="search the order for your own durations (`simulate.lane_search`)",
        tier="browser, exact search",
        pages=("ch08_anatomy", "log"),
        published=partial(_pair, order="published"),
        true=partial(_pair, order="best"),
        holds=lambda layers, attention, dispatch, mlp, combine: (
            attention == dispatch == mlp == combine
        ),
        outside=at(layers=1, attention=1, dispatch=1, mlp=1, combine=3),
        inside={"layers": 2, "attention": 1, "dispatch": 1, "mlp": 1, "combine": 1},
        unit="units",
    ),
    Claim(
        name="least number of micro-batches",
        group="schedules",
        source=f"{_CODE}, asserts in dualpipe.py and dualpipev.py",
        says="m >= 2P",
        domain="no P: the rule is stricter than it need be",
        corrected="DualPipe m >= 2P - 2, DualPipeV m >= 2P - 1: complete, free of deadlocks, same bubble",
        tier="browser, verifier",
        pages=("ch09_dualpipe", "ch10_dualpipev"),
        published=_least_by_rule,
        true=_least_that_runs,
        holds=lambda kind, P: False,
        outside=at(kind="dualpipe", P=8),
        unit="micro-batches",
    ),
    Claim(
        name="the first pair is not overlapped “to further reduce bubble size”",
        group="schedules",
        source=f"{_CODE}, comment in step 4 of dualpipe.py",
        says="leaving it apart lengthens no step",
        domain="FB >= F + B",
        corrected="where pairs gain, overlap it: the step is up to F + B - FB shorter",
        tier=_BROWSER,
        pages=("ch09_dualpipe", "proof_search", "log"),
        published=lambda P, m, F, I, W, FB: 0,
        true=_lengthening,
        holds=lambda P, m, F, I, W, FB: FB >= F + I + W,
        outside=at(P=8, m=20, F=1, I=1, W=1, FB=Fraction(11, 5)),
        inside={"P": 8, "m": 20, "F": 1, "I": 1, "W": 1, "FB": 4},
        unit="longer",
    ),
    Claim(
        name="the smaller bubble is the faster schedule",
        group="schedules",
        source=f"{_CODE}, README; Pipeline Parallelism with Controllable Memory, arXiv:2405.15362: tables of bubbles, read as a ranking",
        says="ZB-V ends before DualPipeV",
        domain="F = I = W = 1: FB > 3 - (P - 1)/(2m - P - 2)",
        corrected="compare makespans: a bubble does not count what overlapping takes off the work",
        tier=_BROWSER,
        pages=("ch10_dualpipev", "log"),
        published=lambda P, m, FB: "ZB-V",
        true=_faster,
        holds=lambda P, m, FB: 3 - Fraction(P - 1, 2 * m - P - 2) < FB,
        outside=at(P=8, m=20, FB=Fraction(11, 5)),
        inside={"P": 8, "m": 20, "FB": 3},
    ),
    Claim(
        name="2x parameters",
        group="schedules",
        source=f"{_CODE}, README: table of DualPipe and DualPipeV",
        says="2 copies of the parameters on the devices",
        domain="DualPipe; for DualPipeV it compares stages, of which it needs half as many devices",
        corrected="on equal devices DualPipeV holds the model once, like ZB-V",
        tier="browser, counted",
        pages=("ch10_dualpipev", "ch11_memory"),
        published=lambda kind, P: 2,
        true=_model_copies,
        holds=lambda kind, P: kind == "dualpipe",
        outside=at(kind="dualpipev", P=8),
        inside={"kind": "dualpipe", "P": 8},
        unit="x",
    ),
    Claim(
        name="75 % waiting, 4x faster",
        group="waiting",
        source="told in the press about the V3 report; no measurement is known to us",
        says="speedup = 1 / (1 - w)",
        domain="all of the waiting disappears, and no SM is paid for it",
        corrected="1 / ((1 - w) s/(s - n) + w(1 - h)): half of 75 % gone is 1.6x",
        tier=_ARITHMETIC,
        pages=("ch01_waiting",),
        published=lambda waiting, hidden, sms: 1 / (1 - waiting),
        true=_speedup,
        holds=lambda waiting, hidden, sms: sms == 0 and (hidden == 1 or waiting == 0),
        outside=at(waiting=Fraction(3, 4), hidden=Fraction(1, 2), sms=0),
        inside={"waiting": Fraction(3, 4), "hidden": 1, "sms": 0},
        unit="x",
    ),
    Claim(
        name="75 % communication, overlapped: 4x faster",
        group="waiting",
        source="the same, of overlap alone",
        says="speedup = 1 / (1 - w) if all waiting is communication that is overlapped",
        domain="w <= 1/2",
        corrected="at most 1 / max(1 - w, w), so never more than 2x",
        tier=_ARITHMETIC,
        pages=("ch01_waiting",),
        published=lambda waiting: 1 / (1 - waiting),
        true=_speedup_of_overlap,
        holds=lambda waiting: waiting <= Fraction(1, 2),
        outside=at(waiting=Fraction(3, 4)),
        inside={"waiting": Fraction(1, 2)},
        unit="x",
    ),
    Claim(
        name="the tax of reserved SMs",
        group="waiting",
        source="this book's model of 20 of 132 SMs (V3 report, section 3.2.2, names the 20 and no tax)",
        says="computation takes 132 / (132 - n) times as long",
        domain="work without waves, or tiles that fill whole waves on both counts of SMs",
        corrected="with equal tiles the ratio of whole waves; memory-bound work loses less; to be measured",
        tier="browser, a model of tiles; not measured on a GPU",
        pages=("ch01_waiting",),
        published=lambda tiles, sms: Fraction(HOPPER_SMS, HOPPER_SMS - sms),
        true=_tile_slowdown,
        holds=lambda tiles, sms: sms == 0 or not (tiles % HOPPER_SMS or tiles % (HOPPER_SMS - sms)),
        outside=at(tiles=132, sms=20),
        inside={"tiles": 3696, "sms": 20},
        unit="x",
    ),
    Claim(
        name="exposed communication of 3.7 %",
        group="waiting",
        source="DeepSeek's profile-data, train.json; the share is ours, from its kernels",
        says="3.7 % of the all-to-all's time has no computation beside it",
        domain="inside a pair: four layers, even routing, one rank of 64",
        corrected="in a step the chunks outside of pairs are exposed wholly",
        tier="published trace; the step: browser, counted",
        pages=("ch01_waiting", "ch08_anatomy"),
        published=lambda P, m, whole: _of_the_trace(),
        true=lambda P, m, whole: _exposed_share(P, m) if whole == "step" else _of_the_trace(),
        holds=lambda P, m, whole: whole == "pairs",
        outside=at(P=16, m=120, whole="step"),
        inside={"P": 16, "m": 120, "whole": "pairs"},
        unit="of its time",
    ),
    Claim(
        name="schedules are made thirty times as fast as torch's",
        group="schedules",
        source="an early aim of this project, for DualPipeV on 64 ranks with 512 micro-batches; torch constructs and lowers the same order",
        says="30 times",
        domain="no machine that was tried",
        corrected="what `dualpipe-ref bench schedule` found last; the aim is now 10",
        tier="CPU, book/results/schedule.json",
        pages=("log", "status"),
        published=lambda: 30,
        true=_times_torch,
        holds=lambda: False,
        outside=at(),
        unit="x",
    ),
    Claim(
        name="communication to computation about 1:1",
        group="waiting",
        source=f"{_V3}, section 3.2.1",
        says="1",
        domain="V3's pairs; “approximately” taken as within 10 %",
        corrected="",
        tier="published trace, not measured here",
        pages=("ch01_waiting", "ch08_anatomy"),
        published=lambda: 1,
        true=lambda: trace()["communicating_ms"] / trace()["computing_ms"],
        holds=lambda: True,
        inside={},
        within=0.1,
        unit="x",
    ),
)
