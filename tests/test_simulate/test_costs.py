"""Bad costs and networks are refused with the rule, the value and the nearest legal value."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from dualpipe_ref.schedule import InputError, build
from dualpipe_ref.simulate import Costs, Network, simulate

NAN, INFINITY = float("nan"), float("inf")
BAD = [NAN, INFINITY, -INFINITY, 0, -1, 0.0, Fraction(-1, 2), "1", True, 1j, [1, -1], [True]]


@pytest.mark.parametrize("name", ["F", "I", "W", "B", "FB", "rank_scale"])
@pytest.mark.parametrize("value", BAD, ids=repr)
def test_bad_costs(name: str, value: Any) -> None:
    with pytest.raises(InputError) as error:
        Costs(**{name: value})
    for part in ("; got ", "; nearest legal: ", name):
        assert part in str(error.value)


@pytest.mark.parametrize("name", ["F", "I", "W"])
def test_none_is_no_cost(name: str) -> None:
    with pytest.raises(InputError, match=f"finite number; got {name} = None"):
        Costs(**{name: None})


@pytest.mark.parametrize("name", ["latency", "bandwidth", "activation_size", "gradient_size"])
@pytest.mark.parametrize("value", [value for value in BAD if value != 0], ids=repr)
def test_bad_networks(name: str, value: Any) -> None:
    with pytest.raises(
        InputError, match=f"finite number; got {name} = .*; nearest legal: {name} = 1"
    ):
        Network(**{name: value})


def test_bad_sends() -> None:
    with pytest.raises(InputError, match="eager or rendezvous; got sends = 'lazy'; nearest legal"):
        Network(sends="lazy")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["F", "I", "W", "B", "FB"])
@pytest.mark.parametrize("count", [0, 3, 5])
def test_wrong_number_of_stages(name: str, count: int) -> None:
    schedule = build("dualpipe", 4, 8)
    with pytest.raises(InputError, match=f"{count} numbers for 4 stages; nearest legal: 4 numbers"):
        simulate(schedule, Costs(**{name: [1] * count}))


def test_wrong_number_of_ranks() -> None:
    with pytest.raises(InputError, match="3 numbers for 2 ranks; nearest legal: 2 numbers"):
        simulate(build("dualpipev", 2, 4), Costs(rank_scale=(1, 2, 3)))


def test_a_single_rank_scale_is_refused() -> None:
    with pytest.raises(InputError, match="rank_scale is a sequence of one number a rank"):
        Costs(rank_scale=2)  # type: ignore[arg-type]


def test_numbers_of_any_size_are_legal() -> None:
    huge = 10**400
    assert simulate(build("gpipe", 2, 1), Costs(huge, huge, huge)).makespan == 6 * huge
    assert Costs(F=Fraction(1, huge)).of("F") == Fraction(1, huge)


def test_lists_become_tuples_so_that_costs_hash() -> None:
    assert hash(Costs(F=[1, 2])) == hash(Costs(F=(1, 2)))


def test_shares_make_equal_work() -> None:
    """A fixed model on 4 ranks: with two stages a rank, each op takes half as long."""
    costs = Costs(2, Fraction(3), 1, FB=(4,) * 8)
    share = costs.per_stage_share(build("dualpipev", 4, 8))
    assert (1, Fraction(3, 2), Fraction(1, 2), None) == (share.F, share.I, share.W, share.B)
    assert share.FB == (2,) * 8
    assert Costs().per_stage_share(build("dualpipe", 4, 8)) == Costs()
