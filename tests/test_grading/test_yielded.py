"""Generators of an answer: led on step by step, in either kind of process, and what they do instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualpipe_ref.grading.answers import InProcessAnswer, yielded
from dualpipe_ref.grading.checks import Fault
from dualpipe_ref.grading.limits import Limits
from dualpipe_ref.grading.sandbox import Sandbox

SOURCE = """
def echo(count):
    seen = ()
    for number in range(count):
        seen = (*seen, (yield [number, seen]))

def returns(count):
    return [count]

def later(count):
    raise NotImplementedError

def fails(count):
    yield 1
    yield 1 // count

def yields_a_set(count):
    yield {count}

def loops(count):
    yield count
    while True:
        pass
"""


@pytest.fixture(scope="module", params=["sandbox", "in process"])
def answer(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "in process":
        yield InProcessAnswer(SOURCE)
    else:
        with Sandbox(SOURCE) as found:
            yield found


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-9, 9) | st.none(), max_size=6), st.integers(0, 8))
def test_it_stands_where_the_results_lead(answer: Any, sent: list[int | None], count: int) -> None:
    """As many results as there are yields before it, or more: then it has ended."""
    found = yielded(answer, "echo", (count,), tuple(sent))
    if len(sent) < count:
        assert found == ("yields", [len(sent), tuple(sent)])
    else:
        assert found == ("ends",)


@pytest.mark.parametrize(
    ("name", "sent", "words"),
    [
        ("returns", (), "it has to yield its operations"),
        ("later", (), "later is not written yet"),
        ("fails", (None,), "raised ZeroDivisionError"),
        ("yields_a_set", (), "make it a list"),
        ("nothing", (), "the answer has no function nothing"),
    ],
)
def test_what_goes_wrong_is_told(answer: Any, name: str, sent: tuple[Any, ...], words: str) -> None:
    with pytest.raises(Fault, match=words):
        yielded(answer, name, (0,), sent)


def test_one_that_does_not_go_on_is_ended() -> None:
    with Sandbox(SOURCE, limits=Limits(call_seconds=2)) as answer:
        assert yielded(answer, "loops", (3,), ()) == ("yields", 3)
        with pytest.raises(Fault, match="did not return within 2 s"):
            yielded(answer, "loops", (3,), (None,))
        assert yielded(answer, "loops", (4,), ()) == ("yields", 4)
