"""The map of SMs: from records of the emulator to roles, and to a picture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.comm.kernels.who_ran import WhoRanPlan, who_ran
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.hopper.kernel_records import empty_records
from dualpipe_ref.hopper.sm_map import (
    BOTH,
    COMMUNICATION,
    COMPUTE,
    NEITHER,
    Ran,
    kept,
    ran,
    roles_of,
    sm_map,
)
from dualpipe_ref.plot import Theme, draw_sm_map
from dualpipe_ref.schedule.errors import InputError


def blocks_on(first: int, count: int) -> list[Ran]:
    """What blocks of the real kernel write where they have the SMs from `first` on."""
    records = empty_records(count, threads=4, lanes=4)
    plan = WhoRanPlan(0, count, records.data_ptr(), 100)
    Emulated(Topology(1, 1), first_sm=first, sms_per_rank=count).launch(
        who_ran, plan, blocks=count, threads=4, tensors=[records]
    )
    return ran(records.tolist())


@given(first=st.integers(1, 8), second=st.integers(1, 8), shared=st.integers(0, 3))
def test_partitions_are_told_apart_by_what_blocks_wrote(
    first: int, second: int, shared: int
) -> None:
    shared = min(shared, first)
    found = sm_map(20, blocks_on(0, first), blocks_on(first - shared, second))
    counts = [found.count(role) for role in (COMMUNICATION, COMPUTE, BOTH, NEITHER)]
    both = min(shared, second)
    assert counts == [first - both, second - both, both, 20 - first - second + both]
    assert found.is_apart == (both == 0)
    assert tuple(roles_of(kept(found), sms=20)) == found.roles
    assert found.sms(BOTH) == list(range(first - shared, first - shared + both))


def test_one_after_the_other_is_not_together() -> None:
    after = sm_map(2, [Ran(0, 0, 10)], [Ran(0, 10, 20)])
    assert after.roles == (BOTH, NEITHER)
    assert after.together == ()
    assert sm_map(2, [Ran(0, 0, 11)], [Ran(0, 10, 20)]).together == (0,)
    assert sm_map(2, [Ran(1, 0, 11)], [Ran(0, 10, 20)]).together == ()


def test_what_cannot_be_is_named() -> None:
    for wrong in ({"both": [4]}, {"both": [1], "neither": [1]}, {"neither": [-1]}):
        with pytest.raises(InputError, match=r"each SM from 0 to 3 has one role; got SM -?\d: "):
            roles_of(wrong, sms=4)
    with pytest.raises(InputError, match="SMs 0 to 131; got SM 132"):
        sm_map(132, [Ran(132, 0, 1)], [])
    with pytest.raises(InputError, match="ends after it began; got 5 to 4 on SM 0"):
        sm_map(1, [], [Ran(0, 5, 4)])


def test_records_that_no_block_can_have_written_are_refused() -> None:
    assert ran([[[3, 5, 9], [3, 4, 8]]]) == [Ran(3, 4, 9)]
    for missing in ([-1, -1, -1], [3, 4, -1], [3, -1, 9]):
        with pytest.raises(InputError, match=r"of warp 1 of block 1$"):
            ran([[[0, 1, 2], [0, 1, 2]], [[3, 1, 2], missing]])
    with pytest.raises(InputError, match=r"a block stays on its SM; got block 0 on SMs \[3, 4\]"):
        ran([[[3, 1, 2], [4, 1, 2]]])


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_every_sm_has_its_square_and_roles_differ(theme: Theme) -> None:
    found = sm_map(132, blocks_on(0, 20), blocks_on(18, 112))
    figure = draw_sm_map(found.roles, title="20 SMs of 132", theme=theme)
    squares, key = figure.axes
    assert [text.get_text() for text in squares.texts] == [str(sm) for sm in range(132)]
    assert [text.get_text() for text in key.texts] == [
        "communication: 18",
        "computation: 110",
        "both: 2",
        "neither: 2",
    ]
    looks = {}
    for patch, role in zip(squares.patches, found.roles, strict=True):
        looks.setdefault(role, set()).add(
            (patch.get_facecolor(), patch.get_linewidth(), patch.get_linestyle())
        )
    assert {len(look) for look in looks.values()} == {1}
    assert len(set.union(*looks.values())) == 4
    # Two lines each, across those that ran both.
    assert len(squares.lines) == 2 * 2
    # Nothing is cut off.
    width = figure.get_size_inches()[0] * figure.dpi
    renderer_free = [text.get_window_extent() for text in key.texts]
    assert max(box.x1 for box in renderer_free) <= width


def test_groups_are_rows() -> None:
    roles = ["computation"] * 5
    figure = draw_sm_map(roles, groups=[[0, 2, 4], [1, 3]])
    heights = {text.get_text(): text.get_position()[1] for text in figure.axes[0].texts}
    assert heights["0"] == heights["4"] > heights["1"] == heights["3"]
    with pytest.raises(InputError, match="each SM stands in one group; got 4 in groups"):
        draw_sm_map(roles, groups=[[0, 1], [2, 3]])
    with pytest.raises(InputError, match="each SM has a role; got idle"):
        draw_sm_map(["idle"])
    with pytest.raises(InputError, match="got no SM"):
        draw_sm_map([])
