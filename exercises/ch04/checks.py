"""What an answer to chapter 4 must do. Each property is tried on many (P, m, v), smallest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.counterexample import Counterexample
from dualpipe_ref.grading.numbers import in_words, is_close
from dualpipe_ref.grading.oplists import ask_rank, at, each, growing, incomplete, stuck
from dualpipe_ref.schedule import OpKind
from dualpipe_ref.schedule.occupancy import occupancy
from dualpipe_ref.simulate import Costs, Network, find_formula, simulate

NAME = "interleaved"
SIZES = growing(
    [
        (ranks, rounds * ranks, chunks)
        for ranks in range(2, 7)
        for rounds in (1, 2, 3)
        for chunks in (2, 3, 4)
    ]
    + [(8, 24, 2), (8, 16, 4), (12, 24, 2)]
)
# (F, B) of one stage, in exact numbers: equal, usual, a cheap backward, an odd one.
COSTS = ((1, 1), (1, 2), (3, 1), (Fraction(7, 5), Fraction(22, 9)))
# As shares of the shorter of F and B: an op covers a message of its own length, and no longer one.
LATENCIES = (Fraction(1, 2), Fraction(1, 7), Fraction(1))


def complete(answer: Answer) -> str | Fault | None:
    """Each chunk's F and B once, F first; no other ops, since here a backward is one piece."""
    for size in SIZES:
        for rank in range(size[0]):
            for place, op in enumerate(ask_rank(answer, NAME, rank, size)):
                if op.kind not in (OpKind.F, OpKind.B):
                    return f"{at(size)}: rank {rank} runs {op} (op {place}); use F and B alone"
    return incomplete(NAME, NAME, SIZES)(answer)


def ends(latencies: tuple[Fraction, ...]) -> Callable[[Answer], Fault | None]:
    """The step ends at (vm + P - 1)(F + B) + 2(vP - 1)L, for every cost of one stage; an order that is better is right."""
    formula = find_formula(NAME, "makespan", "exact")

    def find_fault(answer: Answer) -> Fault | None:
        for size, schedule in each(answer, NAME, NAME, SIZES):
            ranks, microbatches, chunks = size
            for (forward, backward), share in product(COSTS, latencies):
                costs, latency = Costs(forward, 1, 1, backward), share * min(forward, backward)
                network = Network(latency)
                found = simulate(schedule, costs, network).makespan
                best = formula.evaluate(ranks, microbatches, costs, 0, chunks, latency)
                if found > best:
                    what = f"the step ends at {found}, later than {formula.expression} = {best}"
                    case = Counterexample.at(schedule, (), what, costs, network)
                    words = f"F = {forward}, B = {backward}, L = {latency}"
                    return Fault(f"{at(size)}, {words}: {what}", case)
        return None

    return find_fault


def memory(answer: Answer) -> Fault | None:
    """Rank r never holds more than (v - 1)P + 2(P - 1 - r) + 1 chunks."""
    for size, schedule in each(answer, NAME, NAME, SIZES):
        ranks, _, chunks = size
        for rank, ops in enumerate(schedule.ops):
            bound = (chunks - 1) * ranks + 2 * (ranks - 1 - rank) + 1
            for place, (during, _) in enumerate(occupancy(ops)):
                if during.activations > bound:
                    what = (
                        f"rank {rank} at {ops[place]} (op {place}) holds {during.activations} chunks;"
                        f" the bound is (v - 1)P + 2(P - 1 - r) + 1 = {bound}"
                    )
                    return Fault(
                        f"{at(size)}: {what}", Counterexample.at(schedule, [(rank, place)], what)
                    )
    return None


class Step(NamedTuple):
    """What a step costs; F and B are those of all that a rank holds."""

    ranks: int
    microbatches: int
    forward: Fraction
    backward: Fraction
    latency: Fraction

    def makespan(self, chunks: int) -> Fraction:
        kind, cut = ("1f1b", None) if chunks == 1 else (NAME, chunks)
        costs = Costs(self.forward / chunks, 1, 1, self.backward / chunks)
        size = self.ranks, self.microbatches
        formula = find_formula(kind, "makespan", "exact")
        assert formula.holds(*size, costs, 0, cut, self.latency), (self, chunks)
        return Fraction(formula.evaluate(*size, costs, 0, cut, self.latency))

    def __str__(self) -> str:
        words = f"F = {self.forward}, B = {self.backward}, L = {self.latency}"
        return f"P = {self.ranks}, m = {self.microbatches}, {words}"


def steps(most_chunks: int) -> Iterator[Step]:
    """Steps small and large whose latency is at most the shortest op of v = `most_chunks`."""
    for rounds, ranks in product((1, 2, 8), (2, 3, 4, 8, 16)):
        for forward, backward in ((1, 2), (1, 1), (3, 1), (Fraction(7, 5), Fraction(22, 9))):
            for share in (0, Fraction(1), Fraction(1, 2), Fraction(1, 10), Fraction(1, 50)):
                latency = share * Fraction(min(forward, backward), most_chunks)
                yield Step(ranks, rounds * ranks, Fraction(forward), Fraction(backward), latency)


def closed_form(answer: Answer) -> str | None:
    for chunks in (1, 2, 3, 4, 8):
        for step in steps(chunks):
            arguments = step.ranks, step.microbatches, chunks, *step[2:]
            said, right = call(answer, "makespan", *arguments), step.makespan(chunks)
            if not is_close(said, right):
                return f"{step}, v = {chunks}: you say {in_words(said)}, the step ends at {in_words(right)}"
    return None


def best(answer: Answer) -> str | None:
    for layers in (1, 2, 3, 4, 6, 9, 12):
        legal = [chunks for chunks in range(1, layers + 1) if layers % chunks == 0]
        for step in steps(layers):
            said = call(answer, "best_chunks", *step, layers)
            right = min(legal, key=step.makespan)
            if type(said) is not int or said != right:
                why = f"at v = {right} the step ends at {in_words(step.makespan(right))}"
                if type(said) is int and said in legal:
                    why += f", at v = {said} at {in_words(step.makespan(said))}"
                return f"{step}, {layers} layers a rank: you say {in_words(said)}; {why}"
    return None


CHECKS = (
    Check(
        "complete",
        "each of a rank's v stages runs each micro-batch's F and B once, F before B",
        complete,
        points=1,
        hint="each slot counts its own micro-batches; in all there are vm forwards and vm backwards",
    ),
    Check(
        "deadlock",
        "every rank reaches its end",
        stuck(NAME, NAME, SIZES),
        needs=("complete",),
        points=1,
        hint="a gradient comes from the model's last stage: which slot is that, and when is it reached?",
    ),
    Check(
        "makespan",
        "with free messages the step takes (vm + P - 1)(F + B), F and B of one stage",
        ends((Fraction(0),)),
        needs=("deadlock",),
        points=2,
        hint="how many micro-batches go through a slot before the next one's turn?",
    ),
    Check(
        "memory",
        "rank r never holds more than (v - 1)P + 2(P - 1 - r) + 1 chunks",
        memory,
        needs=("deadlock",),
        points=1,
        hint="in its first turn a rank holds its warm-up and one more",
    ),
    Check(
        "latency",
        "a latency L <= min(F, B) adds no more than the 2(vP - 1)L of the two ramps",
        ends(LATENCIES),
        needs=("makespan",),
        points=2,
        hint="when a gradient is late, a rank needs something else to do: warm up longer",
    ),
    Check(
        "closed form",
        "when the step ends, with a latency, for 1F1B and for any v",
        closed_form,
        points=1,
        hint="F and B are those of the whole share: a ramp is P - 1 stages long",
    ),
    Check(
        "best v",
        "the fewest stages a rank, of those that divide its layers, with the earliest end",
        best,
        needs=("closed form",),
        points=2,
        hint="the square root is no whole number, and need not divide the layers: compare what is legal",
    ),
)
