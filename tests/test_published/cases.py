"""What the property tests draw for each entry of the register: cases on both sides of its domain."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st

from dualpipe_ref.published import Claim
from dualpipe_ref.schedule import InputError, build
from dualpipe_ref.simulate import FORMULAS, Formula
from dualpipe_ref.simulate.cluster.device import DEVICES

small = st.integers(1, 4)
halves = st.builds(Fraction, st.integers(2, 12), st.just(4))
shares = st.builds(Fraction, st.integers(0, 19), st.just(20))
Cases = st.SearchStrategy[dict[str, object]]


@st.composite
def pairs_of_copies(draw: st.DrawFn) -> dict[str, object]:
    return {"kind": draw(st.sampled_from(["dualpipe", "dualpipev"])), "P": 2 * draw(small)}


@st.composite
def first_pairs(draw: st.DrawFn) -> dict[str, object]:
    """From an FB of max(F, B), the least that a device can do, to more than F + B."""
    F, I, W = (draw(st.integers(1, 3)) for _ in range(3))  # noqa: N806, E741
    FB = draw(st.integers(max(F, I + W), F + I + W + 1))  # noqa: N806
    ranks = 2 * draw(st.integers(2, 4))
    return {"P": ranks, "m": 2 * ranks + 4, "F": F, "I": I, "W": W, "FB": FB}


@st.composite
def orders_inside(draw: st.DrawFn) -> dict[str, object]:
    """Parts that are equally long, and others."""
    names = ("attention", "dispatch", "mlp", "combine")
    same = draw(st.integers(1, 3))
    lengths = draw(st.just([same] * 4) | st.lists(st.integers(1, 3), min_size=4, max_size=4))
    return {"layers": draw(st.integers(1, 2)), **dict(zip(names, lengths, strict=True))}


@st.composite
def rankings(draw: st.DrawFn) -> dict[str, object]:
    ranks = draw(st.integers(2, 6))
    pair = Fraction(draw(st.integers(8, 16)), 4)
    return {"P": ranks, "m": 2 * ranks + draw(st.integers(0, 6)), "FB": pair}


@st.composite
def small_grids(draw: st.DrawFn) -> dict[str, object]:
    """Grids whose choices can all be counted."""
    nodes, gpus, held = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    limit = draw(st.integers(1, nodes))
    most = limit * gpus * held
    return {
        "gate": "drawn", "nodes": nodes, "gpus": gpus, "experts": nodes * gpus * held,
        "k": draw(st.integers(1, most)), "limit": limit,
    }  # fmt: skip


# By the entry's name; an entry with a case on each side of its border has one, or a test says so.
CASES: dict[str, Cases] = {
    "the order inside a pair": orders_inside(),
    "least number of micro-batches": pairs_of_copies(),
    "the first pair is not overlapped “to further reduce bubble size”": first_pairs(),
    "the smaller bubble is the faster schedule": rankings(),
    "2x parameters": pairs_of_copies(),
    "75 % waiting, 4x faster": st.fixed_dictionaries(
        {
            "waiting": shares,
            "hidden": shares | st.just(Fraction(1)),
            "sms": st.sampled_from([0, 6, 20]),
        }
    ),
    "75 % communication, overlapped: 4x faster": st.fixed_dictionaries({"waiting": shares}),
    "the tax of reserved SMs": st.builds(
        lambda fills, sms, off: {
            "tiles": fills * 132 * (132 - sms) + off,
            "sms": sms,
        },
        small,
        st.sampled_from([0, 4, 12, 20, 32]),
        st.sampled_from([0, 0, 1, 50]),
    ),
    "a token reaches 3.63 nodes": small_grids(),
    "a token reaches 7.36 GPUs": small_grids(),
    "NVLink carries 3.2 times what RDMA does": st.fixed_dictionaries(
        {"device": st.sampled_from(sorted(DEVICES))}
    ),
    "3.2 experts a node at no further cost": st.fixed_dictionaries(
        {"nodes": st.integers(2, 9), "gpus": st.integers(2, 9)}
    ),
    "memory of the RDMA rings": st.fixed_dictionaries(
        {"ring": st.integers(1, 300), "chunk": st.integers(1, 40)}
    ),
    "58 GB/s over a card of 50": st.fixed_dictionaries(
        {
            "rate": st.integers(1, 99),
            "nodes": st.integers(2, 9),
            "counted": st.sampled_from(["all copies", "the card's"]),
        }
    ),
    "the least sub-ring of combine": st.sampled_from(
        [{"chunk": 1, "warps": 2}, {"chunk": 2, "warps": 2}]
    ),
    "13 experts for the cost of 8": st.fixed_dictionaries(
        {"gpus": st.sampled_from(["drawn", "each its own"])}
    ),
    "exposed communication of 3.7 %": st.builds(
        lambda half, more, whole: {"P": 2 * half, "m": 4 * half + 2 * more, "whole": whole},
        small,
        small,
        st.sampled_from(["step", "pairs"]),
    ),
    "DeepEP's table, beside computation": st.fixed_dictionaries(
        {
            "kernel": st.sampled_from(["dispatch", "combine"]),
            "beside": st.sampled_from(["nothing", "computation"]),
        }
    ),
    "20 SMs to fill both networks": st.sampled_from(
        [{"kernels": "HybridEP"}, {"kernels": "DeepSeek's"}]
    ),
    "671 billion parameters": st.sampled_from(
        [{"model": "main"}, {"model": "with multi-token prediction"}]
    ),
    "communication to computation about 1:1": st.just({}),
    "schedules are made thirty times as fast as torch's": st.just({}),
}
# Where the domain is only sufficient: outside of it both may agree.
BY_ACCIDENT = {
    "the order inside a pair",
    "the first pair is not overlapped “to further reduce bubble size”",
    "the tax of reserved SMs",
    "a token reaches 3.63 nodes",
    "a token reaches 7.36 GPUs",
}


@st.composite
def of_formula(draw: st.DrawFn, formula: Formula) -> dict[str, object]:
    """A size that can be built, costs of all kinds, any rank; mostly pairs that gain."""
    ranks = 2 * draw(st.integers(1, 3))
    m = draw(st.integers(1, 3 * ranks))
    try:
        build(formula.kind, ranks, m)
    except InputError:
        m = 4 * ranks
    F, I, W = (draw(halves) for _ in range(3)) if draw(st.booleans()) else (1, 1, 1)  # noqa: N806, E741
    case: dict[str, object] = {"P": ranks, "m": m, "F": F, "I": I, "W": W}
    if formula.kind.startswith("dualpipe") and draw(st.booleans()):
        least, most = max(F, I + W), F + I + W
        case["FB"] = least + (most - least) * Fraction(draw(st.integers(0, 4)), 4)
    return case | {"rank": draw(st.integers(0, ranks - 1))}


def cases_of(claim: Claim) -> Cases:
    """The strategy of an entry. Raises KeyError for one that has none."""
    by_name = {f"{formula.kind} {formula.quantity} {formula.name}": formula for formula in FORMULAS}
    if claim.group in ("formulas", "our formulas"):
        from dualpipe_ref.published.of_formulas import name_of

        (formula,) = (one for one in by_name.values() if name_of(one) == claim.name)
        return of_formula(formula)
    return CASES[claim.name]
