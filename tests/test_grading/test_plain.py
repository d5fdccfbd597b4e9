"""What crosses from an answer to the checks arrives as it was, and nothing else crosses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.grading.plain import NotPlainError, decode, encode

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.fractions()
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner, max_size=3)
    ),
    max_leaves=12,
)


def alike(one: object, other: object) -> bool:
    """Equal, and of the same classes all the way down: 1, 1.0, True and Fraction(1) are four values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=True)
        return all(alike(a, b) for a, b in pairs)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


@given(VALUES)
def test_a_value_arrives_as_it_was(value):
    assert alike(decode(encode(value)), value)


@given(st.text())
def test_any_text_is_data_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        decode(text)


@given(VALUES, st.sampled_from([float("nan"), float("inf"), object(), {1}, b"x", 1j, int]))
def test_one_bad_part_spoils_the_whole(value, bad):
    for spoiled in ([value, bad], (bad, value), {"key": [bad]}):
        with pytest.raises(NotPlainError):
            encode(spoiled)


@pytest.mark.parametrize("kind", [int, str, float, list, tuple, dict])
def test_subclasses_are_refused(kind):
    with pytest.raises(NotPlainError, match="not exactly"):
        encode(type("Mine", (kind,), {"__eq__": lambda *_: True, "__hash__": None})())


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"fraction": [1, 0]}', '{"who": 1}', "[", ""]
)
def test_forged_text_is_refused(text):
    with pytest.raises(ValueError):
        decode(text)
