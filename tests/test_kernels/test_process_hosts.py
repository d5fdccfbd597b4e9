"""The host code of the transports between processes, without a GPU: what it tells the others, maps, and would launch."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport import gpu, ipc, nvshmem
from dualpipe_ref.comm.transport.ipc import Ipc
from dualpipe_ref.comm.transport.nvshmem import Nvshmem
from dualpipe_ref.comm.transport.one_gpu import OneGpu
from dualpipe_ref.schedule.errors import InputError
from tests.test_kernels.test_gpu_hosts import CASES, zeros


def ranks_on(monkeypatch: pytest.MonkeyPatch, ranks: int, me: int) -> list[str]:
    """Rank `me` of several, all of which come with the same; what it told the others."""
    said: list[str] = []

    class Group:
        def __init__(self, group: Any, topology: Topology, seconds: float) -> None:
            self.rank = me

        def gathered(self, value: Any) -> list[Any]:
            return [value] * ranks

        def agree(self, name: str, value: Any) -> None:
            said.append(f"{name}: {value}")

        def meet(self) -> None:
            said.append("met")

        def launched(self) -> None:
            said.append("launched")

        def who_gave_up(self, record: list[int]) -> list[list[int]]:
            return [[0], record]

    monkeypatch.setattr(ipc, "Processes", Group)
    monkeypatch.setattr(nvshmem, "Processes", Group)
    return said


def test_ipc_launches_what_one_gpu_does(
    started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks_on(monkeypatch, ranks=1, me=0)
    case = CASES["notify"]
    plan = zeros(case.shipped.plan)._replace(blocks=20)
    for transport in (OneGpu(Topology(1, 1)), Ipc(Topology(1, 1))):
        transport.launch(
            case.shipped.kernel, plan, blocks=20, threads=case.shipped.threads, tensors=[]
        )
    one, other = started[:3], started[3:]
    assert one[1][1:3] == other[1][1:3]
    assert [word.value for word in one[1][3:]] == [word.value for word in other[1][3:]]
    assert one[::2] == other[::2] == [0, "waited"]


def test_heaps_of_others_are_mapped(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    said = ranks_on(monkeypatch, ranks=4, me=2)
    transport = Ipc(Topology(2, 2))
    assert transport.ranks == range(2, 3)
    assert transport.sms_per_rank == 33  # all four on one GPU
    theirs = torch.zeros(64, dtype=torch.uint8)
    monkeypatch.setattr(
        "torch.multiprocessing.reductions.reduce_tensor", lambda heap: (lambda: theirs, ())
    )
    (heap,) = transport.heaps(64)
    there = theirs.data_ptr()
    assert transport.heap_addresses().tolist() == [there, there, heap.data_ptr(), there]
    assert said == ["list of GPUs that it sees: ('GPU-1',)", "size of heaps in bytes: 64"]
    theirs.fill_(7)
    heap.fill_(7)
    transport.zero(16, 32)
    assert said[2:] == ["met", "met"]
    assert heap.tolist() == [7] * 16 + [0] * 32 + [7] * 16
    assert theirs.tolist() == [7] * 64
    with pytest.raises(InputError, match="heaps are made once"):
        transport.heaps(64)
    assert transport.who_gave_up([1]) == [[0], [1]]


class FakeNvshmem:
    """What is used of nvshmem.core, with its parameters (test_nvshmem compares); writes down what it is asked."""

    class NvshmemError(Exception):
        pass

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.heap = torch.full((64,), 9, dtype=torch.uint8)
        self.there = torch.zeros(64, dtype=torch.uint8)
        self.interop = SimpleNamespace(torch=self)

    def get_unique_id(self) -> str:
        return "an id"

    def init(
        self, *, device: Any, uid: str, rank: int, nranks: int, initializer_method: str
    ) -> None:
        self.said.append((uid, rank, nranks, initializer_method))

    def bytetensor(
        self, shape: tuple[int], *, dtype: torch.dtype, except_on_del: bool
    ) -> torch.Tensor:
        assert (shape, dtype, except_on_del) == ((64,), torch.uint8, False)
        return self.heap

    def get_peer_tensor(self, tensor: torch.Tensor, peer_pe: int) -> torch.Tensor:
        assert tensor is self.heap
        if peer_pe == 3:
            raise self.NvshmemError
        return self.there

    def barrier_all(self, *, stream: Any) -> None:
        self.said.append("barrier")

    def free_tensor(self, tensor: torch.Tensor) -> None:
        self.said.append("freed")

    def finalize(self) -> None:
        self.said.append("finalized")


@pytest.fixture
def over_nvshmem(
    started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[Callable[..., Nvshmem], FakeNvshmem]:
    """Makes rank `me` of a topology, on a machine a node; and the library that it finds."""
    library = FakeNvshmem()
    hosts: list[str] = []
    monkeypatch.setattr(nvshmem, "require_nvshmem", lambda: None)
    monkeypatch.setattr(nvshmem.importlib, "import_module", lambda name: library)
    monkeypatch.setattr(nvshmem, "check_nodes", lambda topology, names, gpus: hosts.extend(names))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "a stream")

    def make(topology: Topology, me: int) -> Nvshmem:
        library.said = ranks_on(monkeypatch, topology.ranks, me)
        made = Nvshmem(topology)
        assert len(hosts) == topology.ranks
        return made

    return make, library


def test_nvshmem_reaches_its_own_node(
    over_nvshmem: tuple[Callable[..., Nvshmem], FakeNvshmem],
) -> None:
    make, library = over_nvshmem
    transport = make(Topology(2, 2), 0)
    assert library.said == [("an id", 0, 4, "uid")]
    (heap,) = transport.heaps(64)
    assert not heap.any()
    own, there = heap.data_ptr(), library.there.data_ptr()
    assert transport.heap_addresses().tolist() == [own, there, 0, 0]
    assert library.said[1:] == ["size of heaps in bytes: 64", "met"]
    heap.fill_(7)
    transport.zero(16, 32)
    # On the host first: NVSHMEM's barrier has no limit.
    assert library.said[3:] == ["met", "barrier", "barrier"]
    assert heap.tolist() == [7] * 16 + [0] * 32 + [7] * 16
    transport.close()
    assert library.said[6:] == ["freed", "finalized"]


def test_a_peer_of_the_node_that_is_not_mapped_is_named(
    over_nvshmem: tuple[Callable[..., Nvshmem], FakeNvshmem],
) -> None:
    transport = over_nvshmem[0](Topology(1, 4), 0)
    with pytest.raises(gpu.Lacking, match=r"NVLink or PCIe; got rank 0 does not reach rank 3"):
        transport.heaps(64)


@pytest.mark.parametrize(
    ("hosts", "gpus", "words"),
    [
        ("aabb", "0101", None),
        (
            "abab",
            "0101",
            "rank 1 of node 0 on b, rank 0 on a; .* 2 processes on each of 2 machines",
        ),
        ("aaaa", "0123", "rank 2 of node 1 on a, rank 0 on a"),
        ("aabb", "0100", "a GPU for each rank; got ranks 2 and 3 on 0 of b; nearest legal: 2 GPUs"),
    ],
)
def test_where_ranks_may_be(hosts: str, gpus: str, words: str | None) -> None:
    if words is None:
        nvshmem.check_nodes(Topology(2, 2), hosts, gpus)
        return
    with pytest.raises(InputError, match=words):
        nvshmem.check_nodes(Topology(2, 2), hosts, gpus)
