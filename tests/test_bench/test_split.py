"""The split bench: all sides compute the same bits, and where they do not, nothing is timed."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from torch import Tensor

from dualpipe_ref.bench import split_sides
from dualpipe_ref.bench.split import DENSE, REMADE, cases, rows
from dualpipe_ref.bench.split_sides import SIDES, Case, Ours, differences, held
from tests.test_bench.test_step import SMALL

SOME = [
    Case("linear", 0, 6, SMALL),
    Case("block", 1, 6, SMALL, DENSE),
    Case("experts", 1, 6, SMALL),
    Case("layers_2", 2, 6, SMALL),
    Case("recomputed", 2, 6, SMALL, REMADE),
]


@pytest.fixture(scope="module", autouse=True)
def _what_is_there_stays() -> Iterator[None]:
    """The bench collects garbage before each run, and this process has hundreds of thousands of objects of other tests."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
def test_sides_agree_and_every_row_is_there(case: Case) -> None:
    found = {row.bench.removeprefix(f"split.{case.name}_"): row for row in rows(case, 3)}
    assert {"ratio", "ratio_low", "ratio_high", "whole_ratio"} < found.keys()
    for side in ("ours", "torch"):
        for what in ("input", "weight", "peak", "held"):
            assert found[f"{what}_{side}"].value > 0
    assert found["ratio_low"].value <= found["ratio"].value <= found["ratio_high"].value


class Wrong(Ours):
    """Forgets the last bit of a gradient."""

    def weight_half(self) -> None:
        super().weight_half()
        gradient = next(one.grad for one in self.module.parameters() if one.grad is not None)
        gradient[0] += 2.0**-20


def test_a_difference_is_seen_and_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIDES, "ours", Wrong)
    monkeypatch.setattr(split_sides, "timed", lambda _: pytest.fail("it was timed"))
    with pytest.raises(RuntimeError, match="do not compute the same: the gradient of"):
        next(rows(SOME[0], 1))


def test_what_a_linear_holds_until_its_w() -> None:
    """Its input, and the gradient of its output; the gradient of the input is passed on, and freed here."""
    side = Ours(SOME[0])
    size: Tensor = side.source
    bytes_of_one = size.numel() * size.element_size()
    found = held(side)
    assert found.waiting == 2 * bytes_of_one
    assert found.peak >= 3 * bytes_of_one


def test_the_cases_are_those_that_the_book_shows() -> None:
    assert [case.name for case in cases()] == [
        *("linear", "block", "experts", "layers_2", "layers_8", "layers_2_recomputed"),
    ]
    assert not differences([make(SOME[3]) for make in SIDES.values()])
