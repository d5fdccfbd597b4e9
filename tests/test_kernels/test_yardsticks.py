"""The kernels that measure the others, in the emulator: which SM a block ran on, and a copy and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.comm.kernels.plain_copy import PlainCopyPlan, plain_copy
from dualpipe_ref.comm.kernels.who_ran import BEGAN, ENDED, SM, WhoRanPlan, who_ran
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.hopper.kernel_records import empty_records


def records(blocks: int, stay: int, **options: Any) -> torch.Tensor:
    made = empty_records(blocks, threads=8, lanes=4)
    plan = WhoRanPlan(0, blocks, made.data_ptr(), stay)
    Emulated(Topology(1, 1), **options).launch(
        who_ran, plan, blocks=blocks, threads=8, tensors=[made]
    )
    return made


@pytest.mark.parametrize("seed", range(5))
def test_each_block_says_where_it_ran_and_how_long(seed: int) -> None:
    both = records(6, stay=500, seed=seed, first_sm=3)
    assert both[:, :, SM].tolist() == [[sm, sm] for sm in (3, 4, 5, 6, 7, 8)]
    found = both[:, 0]  # the warp that stays
    assert ((found[:, ENDED] - found[:, BEGAN]) >= 500).all()
    # All were there at once: the last began before the first ended.
    assert found[:, BEGAN].max() < found[:, ENDED].min()


def test_a_block_that_need_not_stay_does_not() -> None:
    assert (records(2, stay=0)[:, :, ENDED] < 500).all()


@settings(max_examples=25)
@given(
    pieces=st.integers(1, 300),
    blocks=st.integers(1, 4),
    warps=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_all_is_copied_and_nothing_else(pieces: int, blocks: int, warps: int, seed: int) -> None:
    source = torch.randint(0, 2**31, (4 * pieces,), dtype=torch.int32)
    target = torch.full((4 * pieces + 8,), -7, dtype=torch.int32)
    room = target[4:-4]
    plan = PlainCopyPlan(0, blocks, source.data_ptr(), room.data_ptr(), 16 * pieces)
    Emulated(Topology(1, 1), seed).launch(
        plain_copy, plan, blocks=blocks, threads=4 * warps, tensors=[source, target]
    )
    assert torch.equal(room, source)
    assert target[:4].tolist() == target[-4:].tolist() == [-7] * 4


def test_eight_loads_are_on_their_way_before_the_first_store() -> None:
    """In the text that is launched, whose order volatile assembly keeps."""
    from dualpipe_ref.comm.kernels.compiled import to_ptx

    codes = [
        "load" if "ld.global.L1" in line else "store"
        for line in to_ptx(plain_copy, PlainCopyPlan, threads=512).splitlines()
        if "v4.s32" in line
    ]
    assert ["load"] * 8 + ["store"] * 8 in [codes[at : at + 16] for at in range(len(codes))]
