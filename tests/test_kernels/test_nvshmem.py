"""The link over NVSHMEM: every kernel compiled with it and linked with NVSHMEM's device library, where that is installed.

It wants an environment of its own: pip install -e '.[nvshmem]' pytest hypothesis torch -c constraints/nvshmem.txt
"""

from __future__ import annotations

import importlib.util
import inspect
import pickle

import pytest
import torch

from dualpipe_ref.comm.kernels.compiled import linked
from dualpipe_ref.comm.kernels.registry import Case, cases
from dualpipe_ref.comm.transport.nvshmem import require_nvshmem
from dualpipe_ref.schedule.errors import InputError

CASES = {case.name: case for case in cases()}
IS_THERE = importlib.util.find_spec("nvshmem") is not None
needs_nvshmem = pytest.mark.skipif(not IS_THERE, reason="nvshmem4py is not installed")


@needs_nvshmem
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_kernel_is_linked_with_nvshmem(case: Case) -> None:
    from dualpipe_ref.comm.transport import nvshmem_link

    shipped = case.shipped
    made = linked(
        shipped.kernel,
        shipped.plan,
        link=nvshmem_link,
        element=case.element,
        threads=shipped.threads,
    )
    assert made.startswith(b"\x7fELF")
    assert (b"nvshmemi" in made) == shipped.waits  # those that wait for others reach them, too


@needs_nvshmem
def test_the_number_of_the_signal_operation() -> None:
    from nvshmem.core import SignalOp

    from dualpipe_ref.comm.transport.nvshmem_link import SIGNAL_ADD

    assert int(SignalOp.SIGNAL_ADD) == SIGNAL_ADD


@needs_nvshmem
def test_the_host_s_part_of_the_library_is_as_the_tests_without_it_have_it() -> None:
    """Every function that the fake has, with all its parameters."""
    import nvshmem.core
    import nvshmem.core.interop.torch

    from tests.test_kernels.test_process_hosts import FakeNvshmem

    faked = {name: one for name, one in vars(FakeNvshmem).items() if inspect.isfunction(one)}
    del faked["__init__"]
    for name, fake in faked.items():
        places = (nvshmem.core, nvshmem.core.interop.torch)
        real = next(getattr(place, name) for place in places if hasattr(place, name))
        wanted = [one for one in inspect.signature(fake).parameters if one != "self"]
        assert set(wanted) <= set(inspect.signature(real).parameters), name
    assert issubclass(nvshmem.core.NvshmemError, Exception)


@needs_nvshmem
def test_a_unique_id_travels_between_processes() -> None:
    import nvshmem.core

    one = nvshmem.core.get_unique_id()
    other = pickle.loads(pickle.dumps(one))
    assert type(one) is type(other)
    assert other._data.tobytes() == one._data.tobytes()
    assert any(one._data.tobytes())


@needs_nvshmem
def test_a_barrier_takes_a_stream_of_torch() -> None:
    import nvshmem.core

    assert "__cuda_stream__" in inspect.getsource(nvshmem.core.barrier_all)
    assert hasattr(torch.cuda.Stream, "__cuda_stream__")


@pytest.mark.skipif(IS_THERE, reason="nvshmem4py is installed")
def test_a_machine_without_nvshmem_is_told_what_to_install() -> None:
    with pytest.raises(InputError, match=r"by nvshmem4py; got no nvshmem; nearest legal: pip"):
        require_nvshmem()
