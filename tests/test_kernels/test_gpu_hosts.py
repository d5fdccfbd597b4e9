"""The host code of the transports on GPUs, as far as it goes without one: what it refuses, and what it would launch."""

from __future__ import annotations

import ctypes
import typing
from collections.abc import Callable
from typing import Any

import pytest
import torch

from dualpipe_ref.comm.kernels import compiled
from dualpipe_ref.comm.kernels.compiled import TARGET
from dualpipe_ref.comm.kernels.registry import Case, cases
from dualpipe_ref.comm.kernels.waiting import Who
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport import gpu
from dualpipe_ref.comm.transport.ipc import Ipc
from dualpipe_ref.comm.transport.nvshmem import Nvshmem
from dualpipe_ref.comm.transport.one_gpu import OneGpu
from dualpipe_ref.schedule.errors import InputError

CASES = {case.name: case for case in cases()}


def zeros(plan: type) -> Any:
    """A plan of this type, as a host would make it."""
    hints = typing.get_type_hints(plan)
    return plan(*(0 if hint is int else zeros(hint) for hint in hints.values()))


@pytest.mark.parametrize("make", [OneGpu, Ipc, Nvshmem])
def test_a_machine_without_a_gpu_is_told_what_is_missing(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(InputError, match=r"built without CUDA; nearest legal: a torch built for"):
        make(Topology(1, 2))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no driver, or no GPU"):
        make(Topology(1, 2))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    with pytest.raises(InputError, match=r"8\.0 \(Ampere\) or newer; got 7\.5"):
        make(Topology(1, 2))


def launched(case: Case) -> None:
    plan = zeros(case.shipped.plan)._replace(blocks=20)
    OneGpu(Topology(2, 2)).launch(
        case.shipped.kernel,
        plan,
        blocks=20,
        threads=case.shipped.threads,
        tensors=[],
        element=case.element,
    )


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_one_gpu_compiles_what_is_looked_at(
    case: Case, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a Hopper GPU the same request as that of the tests of the PTX, which are slow enough."""
    asked: list[Any] = []

    def to_ptx(
        *given: Any, target: tuple[int, int] = TARGET, lines: bool = False, **named: Any
    ) -> str:
        asked.append((given, target, lines, named))
        return ".visible .entry k("

    monkeypatch.setattr(compiled, "to_ptx", to_ptx)
    launched(case)
    case.ptx()
    assert len(asked) == 2
    assert asked[0] == asked[1]


@pytest.mark.parametrize("name", ["notify", "unpermute, bfloat16"])
def test_one_gpu_launches_the_words_of_a_plan(name: str, started: list[Any]) -> None:
    case = CASES[name]
    launched(case)
    device, (_, config, (text, entry), *words), waited = started
    assert (device, waited) == (0, "waited")
    assert (config["grid"], config["block"]) == (80, case.shipped.threads)
    assert (config["shmem_size"], config["is_cooperative"]) == (0, True)
    assert f".entry {entry}(" in text
    # Every word of the plan is a parameter of the kernel, in its place.
    plan = zeros(case.shipped.plan)._replace(blocks=20)
    parameters = text[text.index(".entry") : text.index(")\n")].count(".param .u64")
    assert len(words) == parameters == len(list(gpu.words_of(plan)))
    assert all(type(word) is ctypes.c_int64 for word in words)
    assert [word.value for word in words] == list(gpu.words_of(plan))


def test_ranks_that_are_absent_get_no_blocks(started: list[Any]) -> None:
    case = CASES["notify"]
    gpu._loaded.cache_clear()
    plan = zeros(case.shipped.plan)._replace(blocks=1)
    OneGpu(Topology(2, 2), absent=1).launch(
        case.shipped.kernel, plan, blocks=1, threads=128, tensors=[]
    )
    assert started[1][1]["grid"] == 3


def test_heaps_are_those_of_all_ranks(started: list[Any]) -> None:
    transport = OneGpu(Topology(2, 2))
    heaps = transport.heaps(64)
    assert transport.heap_addresses().tolist() == [heap.data_ptr() for heap in heaps]
    heaps[1].fill_(7)
    transport.zero(16, 32)
    assert heaps[1].tolist() == [7] * 16 + [0] * 32 + [7] * 16
    with pytest.raises(InputError, match="heaps are made once"):
        transport.heaps(64)
    assert transport.sms_per_rank == 33


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks": 34}, "4 ranks x 34 blocks = 136 on 132 SMs; nearest legal: 4 ranks x 33"),
        (
            {"threads": 48},
            "whole warps, up to 1024 threads; got threads = 48; nearest legal: .* 64",
        ),
        ({"threads": 2048}, "got threads = 2048; nearest legal: threads = 1024"),
        (
            {"plan_blocks": 3},
            "a plan tells the blocks of a rank .*; got blocks = 3, first_rank = 0",
        ),
    ],
)
def test_a_launch_that_cannot_be_is_refused(
    started: list[Any], change: dict[str, int], words: str
) -> None:
    given = {"blocks": 2, "threads": 128, **change}
    plan = zeros(CASES["notify"].shipped.plan)
    plan = plan._replace(blocks=given.pop("plan_blocks", given["blocks"]))
    with pytest.raises(InputError, match=words):
        OneGpu(Topology(2, 2)).launch(CASES["notify"].shipped.kernel, plan, tensors=[], **given)
    assert started == []


def test_ranks_without_an_sm_are_refused(started: list[Any]) -> None:
    with pytest.raises(InputError, match=r"160 ranks x 1 blocks = 160 on 132 SMs; .* 132 ranks"):
        OneGpu(Topology(20, 8))
    with pytest.raises(InputError, match=r"no more SMs than it has; got 133 of 132"):
        OneGpu(Topology(1, 2), sms=133)


def test_words_keep_their_order() -> None:
    """A plan in a plan lies where it stands; so does Numba lay out parameters (test_compiled)."""
    assert list(gpu.words_of((1, Who(2, 3, 4, 5, 6), 7))) == [1, 2, 3, 4, 5, 6, 7]
