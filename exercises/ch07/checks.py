"""What an answer to chapter 7 must do: choose, count, place and pay for tokens, each over many shapes, smallest first."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from reprlib import repr as short
from typing import Any

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.numbers import in_words, is_close
from dualpipe_ref.simulate.volumes import ExpertGrid, expected_spread

from .machine import Case, Gate, cases, exchanged, gates

MESSAGE = 7472


def chosen(answer: Answer, gate: Gate) -> tuple[Any, Any]:
    """What `choose` says: experts and weights. Raises `Fault` where it is no pair."""
    said = call(answer, "choose", *gate)
    if not isinstance(said, list | tuple) or len(said) != 2:
        raise Fault(f"{gate}: choose returns {short(said)}, not experts and weights")
    return said[0], said[1]


def choice(answer: Answer) -> str | None:
    for gate in gates():
        said, right = chosen(answer, gate)[0], gate.experts()
        if not _are(said, right):
            return f"{gate}, {gate.in_full()}: you choose {short(said)}, the experts are {right}"
    return None


def weights(answer: Answer) -> str | None:
    for gate in gates():
        said, right = chosen(answer, gate)[1], gate.weights()
        if not (
            isinstance(said, list | tuple)
            and len(said) == len(right)
            and all(map(is_close, said, right))
        ):
            words = ", ".join(map(str, right))
            return f"{gate}, {gate.in_full()}: your weights are {_shown(said)}, they are {words}"
    return None


def _shown(said: Any) -> str:
    if isinstance(said, list | tuple) and len(said) < 9:
        return ", ".join(map(in_words, said))
    return short(said)


def _are(said: Any, right: Any) -> bool:
    """The same whole numbers in the same nest of lists; True is none."""
    if isinstance(right, list | tuple):
        return (
            isinstance(said, list | tuple)
            and len(said) == len(right)
            and all(map(_are, said, right))
        )
    return type(said) is int and bool(said == right)


def counts(answer: Answer) -> str | None:
    for case in cases():
        said, right = call(answer, "counts", case.routing, *case.grid), case.counts()
        if not isinstance(said, list | tuple) or len(said) != 3:
            return f"{case}: counts returns {short(said)}, not three lists"
        for name, yours, its in zip(("expert", "rank", "node"), said, right, strict=True):
            if not _are(yours, its):
                return f"{case}: tokens of each {name}: you say {_list(yours)}, it is {its}"
    return None


def _list(said: Any) -> str:
    return str(said) if isinstance(said, list | tuple) and len(str(said)) < 120 else short(said)


def _each_case(
    name: str, arguments: Callable[[Case], tuple[Any, ...]], right: Callable[[Case], Any]
) -> Callable[[Answer], str | None]:
    """A check: the function of this name says what is right in every case."""

    def find_fault(answer: Answer) -> str | None:
        for case in cases():
            said, wanted = call(answer, name, *arguments(case)), right(case)
            if not _are(said, wanted):
                return f"{case}, sent by rank {case.rank}: you say {_list(said)}, it is {_list(wanted)}"
        return None

    return find_fault


def starts(answer: Answer) -> str | None:
    for sent in exchanged():
        right = [
            [sum(row[rank] for row in sent[:source]) for rank in range(len(sent))]
            for source in range(len(sent))
        ]
        said = call(answer, "starts", sent)
        if not _are(said, right):
            return f"N = 1, L = {len(sent)}, sent = {sent}: you say {_list(said)}, it is {right}"
    return None


def spread(answer: Answer) -> str | None:
    for nodes, gpus, each in ((1, 1, 2), (1, 2, 1), (2, 1, 1), (2, 2, 2), (3, 2, 2), (8, 8, 4)):
        experts = nodes * gpus * each
        for limit in range(1, nodes + 1):
            for k in range(1, min(9, limit * gpus * each + 1)):
                right = expected_spread(ExpertGrid(nodes, gpus, experts, k, limit))
                said = call(answer, "spread", nodes, gpus, experts, k, limit)
                if (
                    not isinstance(said, list | tuple)
                    or len(said) != 2
                    or not all(is_close(a, Fraction(b)) for a, b in zip(said, right, strict=True))
                ):
                    where = f"N = {nodes}, L = {gpus}, E = {experts}, K = {k}, limit = {limit}"
                    wanted = " nodes and ".join(in_words(Fraction(one)) for one in right)
                    return f"{where}: you say {_shown(said)}, a token reaches {wanted} GPUs"
    return None


CHECKS = (
    Check(
        "choice",
        "the best experts of the best nodes, the first of equals, for any bias",
        choice,
        points=2,
        hint="a node is worth its best max(1, K // limit) experts together, bias included; what is outside is out, not 0",
    ),
    Check(
        "weights",
        "the chosen experts' own scores, divided by their sum",
        weights,
        needs=("choice",),
        points=1,
        hint="the bias decides who is chosen and has no part in how much they count",
    ),
    Check(
        "counts",
        "tokens of each expert, for each rank once, for each node once",
        counts,
        points=2,
        hint="make the set of ranks of one token first, then the set of its nodes; -1 is nobody",
    ),
    Check(
        "places",
        "how many earlier tokens go to the same rank, -1 where this one does not",
        _each_case("places", lambda case: (case.routing, *case.grid), Case.places),
        needs=("counts",),
        points=1,
        hint="count before you add: the first token for a rank has place 0",
    ),
    Check(
        "starts",
        "where a source's tokens begin at each rank: those of all sources before it come first",
        starts,
        points=1,
        hint="go down a column: row `source` is the sum of the rows above it",
    ),
    Check(
        "bytes",
        "a copy over RDMA for each other node, over NVLink for each GPU at another place",
        _each_case(
            "bytes_over",
            lambda case: (case.rank, case.routing, *case.grid, MESSAGE),
            lambda case: case.bytes_over(MESSAGE),
        ),
        needs=("counts",),
        points=2,
        hint="follow one token: to the same place in each other node, and from there to whoever wants it",
    ),
    Check(
        "spread",
        "nodes and GPUs of a token in the mean, exact, if its nodes and experts are drawn",
        spread,
        points=1,
        hint="the chance that none of K experts, drawn without putting back, is among the h that a GPU holds",
    ),
)
