"""What is asked of a GPU's driver, and nothing else: so that what is done with the answers runs without one."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

# Of cuDevSmResourceSplitByCount: each SM counts by itself, however the hardware groups them. Large clusters are then not
# promised a place.
IGNORE_SM_COSCHEDULING = 1
# The driver that brought green contexts, as cuDriverGetVersion counts: CUDA 12.4.
GREEN_CONTEXTS_SINCE = 12040

_SENTENCES = {
    "CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION": "the SMs of this GPU cannot be split so",
    "CUDA_ERROR_INVALID_RESOURCE_TYPE": "this is not a resource that can be split",
    "CUDA_ERROR_NOT_SUPPORTED": "this GPU or its driver has no green contexts",
    "CUDA_ERROR_INVALID_CONTEXT": "the current context is not the GPU's primary one",
    "CUDA_ERROR_NOT_INITIALIZED": "the driver has not been started",
    "CUDA_ERROR_OUT_OF_MEMORY": "there is no memory left for another context",
    "CUDA_ERROR_INVALID_VALUE": "the driver does not take one of the values",
}


class DriverError(RuntimeError):
    """The driver refused a call; the message says which, with what, and what its code means.

    >>> raise DriverError("cuDevSmResourceSplitByCount", "CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION", "200 SMs")
    Traceback (most recent call last):
    dualpipe_ref.hopper.driver.DriverError: the SMs of this GPU cannot be split so: cuDevSmResourceSplitByCount with 200 SMs gave CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION
    """

    def __init__(self, call: str, code: str, asked: str = "") -> None:
        self.call, self.code = call, code
        means = _SENTENCES.get(code, "the driver refuses")
        super().__init__(f"{means}: {call}{f' with {asked}' if asked else ''} gave {code}")


class Gpu(NamedTuple):
    """A GPU as its driver describes it.

    Bytes of shared memory: `shared_per_sm`, of those at most `shared_per_block`, and `shared_reserved` that each block costs
    beside what it asks for. `threads_per_sm` run at once. `driver` is such as 13000 for CUDA 13.0.
    """

    name: str
    capability: tuple[int, int]
    sms: int
    shared_per_sm: int
    shared_per_block: int
    shared_reserved: int
    threads_per_sm: int
    driver: int

    @property
    def cuda(self) -> str:
        """The CUDA version that the driver knows.

        >>> Gpu("GPU", (9, 0), 132, 0, 0, 0, 0, driver=12040).cuda
        '12.4'
        """
        return f"{self.driver // 1000}.{self.driver % 1000 // 10}"


class SmResource(NamedTuple):
    """Some SMs: how many, the fewest and the multiple in which they can be split off, and the driver's own handle."""

    sms: int
    minimum: int
    alignment: int
    handle: Any


class Driver(Protocol):
    """The calls by which SMs are reserved, on one GPU whose primary context stays current. All raise `DriverError`."""

    gpu: Gpu

    def sms(self) -> SmResource:
        """All SMs of the GPU."""
        ...

    def split(self, sms: SmResource, count: int, flags: int) -> tuple[SmResource, SmResource]:
        """`count` SMs or the next number that can be had, and all others."""
        ...

    def green_context(self, sms: SmResource) -> Any:
        """A context whose kernels run on these SMs alone. It does not become the current one."""
        ...

    def granted(self, context: Any) -> int:
        """How many SMs a green context really has."""
        ...

    def stream(self, context: Any | None, priority: int) -> int:
        """A stream of a green context, or of the primary one; kernels of lower `priority` numbers go first."""
        ...

    def destroy(self, context: Any | None, stream: int) -> None:
        """Give back a stream, and the context that it belongs to where that is a green one."""
        ...

    def primary_is_current(self) -> bool:
        """Whether kernels that name no stream still run on the whole GPU. Numba refuses other contexts."""
        ...
