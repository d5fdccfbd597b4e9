"""What the builders accept, and what they say about the rest."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product

import pytest

from dualpipe_ref.schedule import KINDS, InputError, build
from dualpipe_ref.schedule.kinds import slots_of
from dualpipe_ref.schedule.verify import find_violations

from .samples import sizes

RANKS, MICROBATCHES = range(-1, 10), range(-1, 31)


def advice(kind: str, **arguments: object) -> tuple[str, int] | None:
    """(name, value) that the refusal calls legal, or None where the arguments are accepted."""
    try:
        build(kind, **arguments)
    except InputError as error:
        name, value = re.search(r"; got .+; nearest legal: ([Pm]) = (-?\d+)$", str(error)).groups()
        return {"P": "ranks", "m": "microbatches"}[name], int(value)
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_every_small_size_is_verified_or_refused(kind: str) -> None:
    """The legal sizes are stated anew in `samples`; what is refused is legal after following the advice."""
    legal = {size[1:3] for size in sizes(kind, RANKS, MICROBATCHES)}
    assert len(legal) >= 30
    for ranks, microbatches in product(RANKS, MICROBATCHES):
        if (ranks, microbatches) in legal:
            schedule = build(kind, ranks, microbatches)
            assert find_violations(schedule) == (), schedule
        else:
            follow_advice(kind, {"ranks": ranks, "microbatches": microbatches})


def follow_advice(kind: str, arguments: dict[str, int]) -> None:
    """Once for P, once for m: each value is right at the first try."""
    corrected: list[str] = []
    while found := advice(kind, **arguments):
        name, value = found
        assert name not in corrected, f"{kind}: {found} after {corrected}"
        corrected.append(name)
        arguments[name] = value
    assert corrected


NO_INTS = [
    None,
    True,
    False,
    "4",
    "x",
    4.0,
    4.5,
    float("nan"),
    float("inf"),
    Fraction(4),
    [4],
    {},
    b"",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["ranks", "microbatches"])
@pytest.mark.parametrize("value", NO_INTS, ids=repr)
def test_no_ints(kind: str, name: str, value: object) -> None:
    letter = {"ranks": "P", "microbatches": "m"}[name]
    with pytest.raises(
        InputError, match=f"^{letter} must be an int of at least [12]; got {letter} = "
    ):
        build(kind, **{"ranks": 4, "microbatches": 8, name: value})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["ranks", "microbatches"])
@pytest.mark.parametrize("power", [9, 15, 18, 300, 10_000])
def test_huge_numbers_are_refused_at_once(kind: str, name: str, power: int) -> None:
    """Also those of more digits than Python prints."""
    for value in (10**power + 6 * 2**20, 10**power - 1, -(10**power)):
        with pytest.raises(InputError) as caught:
            build(kind, **{"ranks": 4, "microbatches": 8, name: value})
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ranks", [6, 14, 1000])
def test_too_much_work_names_an_m_that_the_kind_takes(kind: str, ranks: int) -> None:
    """Too large to build: the advice follows the same rules as in `samples`."""
    name, value = advice(kind, ranks=ranks, microbatches=2**6 * 3 * 5**3 * 7 * 1000) or ("", 0)
    assert name == "microbatches"
    assert len(sizes(kind, range(ranks, ranks + 1), range(value, value + 1))) in (1, 2)
    assert ranks * (slots_of(kind) * value) <= 20_000_000


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"interleaved"}))
@pytest.mark.parametrize("chunks", [0, 3, -1, True, 1.0, 2.0, "2", [2], 10**5000], ids=type)
def test_chunks_of_the_other_kinds_are_fixed(kind: str, chunks: object) -> None:
    with pytest.raises(InputError, match=r"^\S+ has [12] stages? a rank; got chunks = "):
        build(kind, 4, 8, chunks)  # type: ignore[arg-type]
    assert build(kind, 4, 8, slots_of(kind)) == build(kind, 4, 8)


@pytest.mark.parametrize("chunks", [0, 1, -1, True, 2.0, "2", [2]])
def test_chunks_of_interleaved(chunks: object) -> None:
    with pytest.raises(InputError, match="chunks must be an int of at least 2; got chunks = "):
        build("interleaved", 4, 8, chunks)  # type: ignore[arg-type]
    assert build("interleaved", 4, 8) == build("interleaved", 4, 8, 2)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("DualPipe", "dualpipe"),
        ("zbv", "zb-v"),
        ("1f1", "1f1b"),
        ("GPIPE", "gpipe"),
        ("dualpipe-v", "dualpipev"),
    ],
)
def test_a_name_that_is_nearly_right(name: str, nearest: str) -> None:
    with pytest.raises(InputError, match=f"nearest legal: '{nearest}'$"):
        build(name, 4, 8)


@pytest.mark.parametrize(
    "name", ["", None, 7, [], "\n", "x" * 10**6, 10**5000, ["gpipe"], b"gpipe"], ids=type
)
def test_names_that_are_none(name: object) -> None:
    with pytest.raises(InputError, match=r"^a schedule is one of gpipe, 1f1b, ") as caught:
        build(name, 4, 8)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 300
