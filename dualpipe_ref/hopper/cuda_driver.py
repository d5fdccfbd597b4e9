"""The driver of an NVIDIA GPU through cuda.bindings, which is imported where it is used."""

from __future__ import annotations

from typing import Any

from dualpipe_ref.hopper.driver import DriverError, Gpu, SmResource
from dualpipe_ref.schedule.errors import InputError

INSTALL = "pip install -e '.[gpu,train]' -c constraints/gpu.txt"
# CU_STREAM_NON_BLOCKING: the stream does not wait for the default stream. CU_GREEN_CTX_DEFAULT_STREAM: the only flag that
# cuGreenCtxCreate takes. As plain numbers: the bindings have renamed their enumerations.
NON_BLOCKING = 1
GREEN_DEFAULT_STREAM = 1


class CudaDriver:
    """`driver.Driver` of GPU number `device`, whose primary context becomes the current one.

    Raises `InputError` where there are no bindings or no driver.
    """

    def __init__(self, device: int = 0) -> None:
        try:
            from cuda.bindings import driver
        except ImportError as error:
            raise InputError(
                "SMs are reserved through cuda-bindings", "it is not installed", INSTALL
            ) from error
        self._driver: Any = driver
        try:
            self._call("cuInit", 0)
        except (RuntimeError, OSError) as error:
            raise InputError(
                "SMs are reserved by the driver of an NVIDIA GPU", f"no driver: {error}", "a GPU"
            ) from error
        self._device = self._call("cuDeviceGet", device)
        self._primary = self._call("cuDevicePrimaryCtxRetain", self._device)
        self._call("cuCtxSetCurrent", self._primary)
        self.gpu = self._look()

    def sms(self) -> SmResource:
        self._require_green_contexts()
        kind = self._driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
        return self._resource(self._call("cuDeviceGetDevResource", self._device, kind))

    def split(self, sms: SmResource, count: int, flags: int) -> tuple[SmResource, SmResource]:
        groups, made, rest = self._call("cuDevSmResourceSplitByCount", 1, sms.handle, flags, count)
        if made != 1:
            raise DriverError("cuDevSmResourceSplitByCount", f"{made} groups", f"{count} SMs")
        return self._resource(groups[0]), self._resource(rest)

    def green_context(self, sms: SmResource) -> Any:
        described = self._call("cuDevResourceGenerateDesc", [sms.handle], 1)
        return self._call("cuGreenCtxCreate", described, self._device, GREEN_DEFAULT_STREAM)

    def granted(self, context: Any) -> int:
        kind = self._driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
        return int(self._call("cuGreenCtxGetDevResource", context, kind).sm.smCount)

    def stream(self, context: Any | None, priority: int) -> int:
        if context is None:
            return int(self._call("cuStreamCreateWithPriority", NON_BLOCKING, priority))
        return int(self._call("cuGreenCtxStreamCreate", context, NON_BLOCKING, priority))

    def destroy(self, context: Any | None, stream: int) -> None:
        self._call("cuStreamDestroy", self._driver.CUstream(stream))
        if context is not None:
            self._call("cuGreenCtxDestroy", context)

    def primary_is_current(self) -> bool:
        return int(self._call("cuCtxGetCurrent")) == int(self._primary)

    def _call(self, name: str, *arguments: Any) -> Any:
        """What a call gives behind its code: nothing, a value, or several."""
        code, *values = getattr(self._driver, name)(*arguments)
        if int(code):
            asked = ", ".join(str(one) for one in arguments if isinstance(one, int))
            raise DriverError(name, code.name, asked)
        return values[0] if len(values) == 1 else tuple(values)

    def _require_green_contexts(self) -> None:
        if not hasattr(self._driver, "cuGreenCtxStreamCreate"):
            raise InputError(
                "green contexts are in cuda-bindings since 12.6", "older bindings", INSTALL
            )

    def _resource(self, handle: Any) -> SmResource:
        minimum, alignment = split_rule(self.gpu.capability)
        sm = handle.sm
        # Bindings before 13.0 have the count alone.
        minimum = int(getattr(sm, "minSmPartitionSize", 0) or minimum)
        alignment = int(getattr(sm, "smCoscheduledAlignment", 0) or alignment)
        return SmResource(int(sm.smCount), minimum, alignment, handle)

    def _look(self) -> Gpu:
        name = self._call("cuDeviceGetName", 256, self._device)
        return Gpu(
            name=name.split(b"\0")[0].decode(),
            capability=(
                self._attribute("COMPUTE_CAPABILITY_MAJOR"),
                self._attribute("COMPUTE_CAPABILITY_MINOR"),
            ),
            sms=self._attribute("MULTIPROCESSOR_COUNT"),
            shared_per_sm=self._attribute("MAX_SHARED_MEMORY_PER_MULTIPROCESSOR"),
            shared_per_block=self._attribute("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"),
            shared_reserved=self._attribute("RESERVED_SHARED_MEMORY_PER_BLOCK"),
            threads_per_sm=self._attribute("MAX_THREADS_PER_MULTIPROCESSOR"),
            driver=int(self._call("cuDriverGetVersion")),
        )

    def _attribute(self, name: str) -> int:
        which = getattr(self._driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(self._call("cuDeviceGetAttribute", which, self._device))


def split_rule(capability: tuple[int, int]) -> tuple[int, int]:
    """The fewest SMs that can be split off, and their multiple (cuda.h 13.0, at cuDevSmResourceSplitByCount).

    >>> split_rule((9, 0)), split_rule((8, 0)), split_rule((7, 5)), split_rule((6, 1))
    ((8, 8), (4, 2), (2, 2), (1, 1))
    """
    rules = {9: (8, 8), 8: (4, 2), 7: (2, 2), 6: (1, 1)}
    return rules[min(9, max(6, capability[0]))]
