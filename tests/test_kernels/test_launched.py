"""What the hosts launch is what the registry lists, and so what is compiled and read."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dualpipe_ref.comm.direct import MOST_WARPS, Direct
from dualpipe_ref.comm.kernels.registry import KERNELS, shipped
from dualpipe_ref.comm.permuting import permute_all
from dualpipe_ref.comm.queue_sizes import MOST_COMBINE_WARPS, MOST_DISPATCH_WARPS
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.emulated import Emulated
from tests.test_kernels.test_permute import Case
from tests.test_transport.traffic import combined, dispatched, drawn, made

LANES = 32


class Watched(Emulated):
    """Writes down what is launched: kernel, type of plan, threads of a GPU's block, element."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology)
        self.launched: list[Any] = []

    def launch(self, kernel: Any, plan: Any, **given: Any) -> None:
        threads = given["threads"] // self.lanes * LANES
        self.launched.append((kernel, type(plan), threads, given.get("element")))
        super().launch(kernel, plan, **given)


@pytest.mark.parametrize("version", [Direct, Queues])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_versions_launch_what_is_listed(version: Any, dtype: torch.dtype) -> None:
    traffic = drawn(2, 2, 5, seed=1, dtype=dtype)
    transport = Watched(traffic.topology)
    exchange = version(
        transport, hidden=traffic.hidden, most_tokens=5, experts_per_token=3, num_sms=2
    )
    combined(exchange, traffic, dispatched(exchange, traffic), made(traffic, dtype))
    assert len(transport.launched) >= 3
    assert all(map(_is_listed, transport.launched))


def test_no_host_launches_larger_blocks_than_are_listed() -> None:
    listed = {one.name: one.threads for one in KERNELS}
    assert listed["direct dispatch"] == listed["direct combine"] == LANES * MOST_WARPS
    assert listed["queue dispatch"] == LANES * MOST_DISPATCH_WARPS
    assert listed["queue combine"] == LANES * MOST_COMBINE_WARPS


def test_permuting_launches_what_is_listed() -> None:
    case = Case(0, [3, 2], held=2, choices=2, alignment=1, dtype=torch.bfloat16)
    transport = Watched(Topology(1, 2))
    permute_all(transport, case.values, case.orders)
    assert all(map(_is_listed, transport.launched))


def _is_listed(launched: Any) -> bool:
    kernel, plan, threads, element = launched
    listed = shipped(kernel)
    return plan is listed.plan and threads <= listed.threads and element in listed.elements


def test_what_is_not_listed_is_noticed() -> None:
    first = KERNELS[0]
    assert _is_listed((first.kernel, first.plan, first.threads, None))
    assert not _is_listed((first.kernel, first.plan, first.threads + LANES, None))
    assert not _is_listed((first.kernel, Case, first.threads, None))
