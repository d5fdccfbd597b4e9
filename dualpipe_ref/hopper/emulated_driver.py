"""A driver without a GPU, which splits SMs by the rules that cuda.h states: for the host's part of a reservation.

What it assumes is not what a GPU does: with IGNORE_SM_COSCHEDULING NVIDIA states only that minimum and multiple become
lower; here both become 2, the SMs of a texture processing cluster.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dualpipe_ref.hopper.cuda_driver import split_rule
from dualpipe_ref.hopper.driver import (
    GREEN_CONTEXTS_SINCE,
    IGNORE_SM_COSCHEDULING,
    DriverError,
    Gpu,
    SmResource,
)

KIB = 1024
FINEST = 2
# Sizes from NVIDIA's tables of compute capabilities (CUDA programming guide 13.0).
H100 = Gpu("emulated H100", (9, 0), 132, 228 * KIB, 227 * KIB, KIB, 2048, 13000)
A100 = Gpu("emulated A100", (8, 0), 108, 164 * KIB, 163 * KIB, KIB, 2048, 12020)
T4 = Gpu("emulated T4", (7, 5), 40, 64 * KIB, 64 * KIB, 0, 1024, 12020)


class EmulatedContext(NamedTuple):
    """A green context: the numbers of its SMs."""

    number: int
    sms: range


class EmulatedDriver:
    """`driver.Driver` for a GPU that is only described. `refuse` names calls that fail, with the code that they give."""

    def __init__(self, gpu: Gpu = H100, refuse: dict[str, str] | None = None) -> None:
        self.gpu, self.refuse = gpu, refuse or {}
        self.open: dict[int, EmulatedContext | None] = {}
        self.priorities: dict[int, int] = {}
        self.contexts: list[EmulatedContext] = []
        self._streams = 0

    def sms(self) -> SmResource:
        self._may("cuDeviceGetDevResource")
        if self.gpu.driver < GREEN_CONTEXTS_SINCE:
            raise DriverError("cuDeviceGetDevResource", "CUDA_ERROR_NOT_SUPPORTED")
        return self._resource(range(self.gpu.sms))

    def split(self, sms: SmResource, count: int, flags: int) -> tuple[SmResource, SmResource]:
        self._may("cuDevSmResourceSplitByCount", f"{count} SMs")
        finest = flags & IGNORE_SM_COSCHEDULING
        minimum, alignment = (FINEST, FINEST) if finest else (sms.minimum, sms.alignment)
        given = max(minimum, -(-count // alignment) * alignment)
        if given > sms.sms:
            raise DriverError(
                "cuDevSmResourceSplitByCount",
                "CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION",
                f"{count} SMs",
            )
        numbers = sms.handle
        return self._resource(numbers[:given]), self._resource(numbers[given:])

    def green_context(self, sms: SmResource) -> EmulatedContext:
        self._may("cuGreenCtxCreate")
        made = EmulatedContext(len(self.contexts), sms.handle)
        self.contexts.append(made)
        return made

    def granted(self, context: EmulatedContext) -> int:
        return len(context.sms)

    def stream(self, context: EmulatedContext | None, priority: int) -> int:
        self._may("cuStreamCreateWithPriority" if context is None else "cuGreenCtxStreamCreate")
        self._streams += 1
        self.open[self._streams], self.priorities[self._streams] = context, priority
        return self._streams

    def destroy(self, context: Any | None, stream: int) -> None:
        if self.open.pop(stream) != context:
            raise DriverError("cuGreenCtxDestroy", "CUDA_ERROR_INVALID_CONTEXT")

    def primary_is_current(self) -> bool:
        return "cuCtxGetCurrent" not in self.refuse

    def sms_of(self, stream: int) -> range:
        """The SMs that kernels of a stream may run on."""
        context = self.open[stream]
        return range(self.gpu.sms) if context is None else context.sms

    def _resource(self, numbers: range) -> SmResource:
        return SmResource(len(numbers), *split_rule(self.gpu.capability), numbers)

    def _may(self, call: str, asked: str = "") -> None:
        if call in self.refuse:
            raise DriverError(call, self.refuse[call], asked)
