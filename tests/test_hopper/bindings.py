"""cuda.bindings.driver as `hopper.cuda_driver` sees it, above an emulated driver: the same names, orders and tuples."""

# ruff: noqa: N803 (the names are those of the bindings)
from __future__ import annotations

from enum import IntEnum
from types import SimpleNamespace
from typing import Any

from dualpipe_ref.hopper.driver import DriverError
from dualpipe_ref.hopper.emulated_driver import H100, EmulatedDriver

PRIMARY = 77


class Code(IntEnum):
    """What a call returns first."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NOT_SUPPORTED = 801
    CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION = 915


class Attributes:
    """CUdevice_attribute: each name stands for itself."""

    def __getattr__(self, name: str) -> str:
        return name.removeprefix("CU_DEVICE_ATTRIBUTE_")


class Bindings:
    """Only what the real module has under the same name, so a call that does not exist is found out."""

    CUdevice_attribute = Attributes()
    CUdevResourceType = SimpleNamespace(CU_DEV_RESOURCE_TYPE_SM="SM")
    CUstream = int

    def __init__(self, driver: EmulatedDriver | None = None, *, has_rule: bool = True) -> None:
        self.driver = driver or EmulatedDriver(H100)
        self.has_rule, self.current = has_rule, 0
        self.of_stream: dict[int, Any] = {}

    def cuInit(self, flags: int) -> Any:
        return (Code.CUDA_SUCCESS,)

    def cuDeviceGet(self, ordinal: int) -> Any:
        return Code.CUDA_SUCCESS, ordinal

    def cuDevicePrimaryCtxRetain(self, dev: Any) -> Any:
        return Code.CUDA_SUCCESS, PRIMARY

    def cuCtxSetCurrent(self, ctx: Any) -> Any:
        self.current = ctx
        return (Code.CUDA_SUCCESS,)

    def cuCtxGetCurrent(self) -> Any:
        return Code.CUDA_SUCCESS, self.current

    def cuDeviceGetName(self, length: int, dev: Any) -> Any:
        return Code.CUDA_SUCCESS, self.driver.gpu.name.encode().ljust(length, b"\0")

    def cuDriverGetVersion(self) -> Any:
        return Code.CUDA_SUCCESS, self.driver.gpu.driver

    def cuDeviceGetAttribute(self, attrib: Any, dev: Any) -> Any:
        gpu = self.driver.gpu
        values = {
            "COMPUTE_CAPABILITY_MAJOR": gpu.capability[0],
            "COMPUTE_CAPABILITY_MINOR": gpu.capability[1],
            "MULTIPROCESSOR_COUNT": gpu.sms,
            "MAX_SHARED_MEMORY_PER_MULTIPROCESSOR": gpu.shared_per_sm,
            "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN": gpu.shared_per_block,
            "RESERVED_SHARED_MEMORY_PER_BLOCK": gpu.shared_reserved,
            "MAX_THREADS_PER_MULTIPROCESSOR": gpu.threads_per_sm,
        }
        return Code.CUDA_SUCCESS, values[attrib]

    def cuDeviceGetDevResource(self, device: Any, typename: Any) -> Any:
        assert typename == "SM"
        return self._asked(lambda: self._handle(self.driver.sms()))

    def cuDevSmResourceSplitByCount(
        self, nbGroups: int, input_: Any, useFlags: int, minCount: int
    ) -> Any:
        code, *halves = self._asked(lambda: self.driver.split(input_.of, minCount, useFlags))
        if code:
            return code, None, None, None
        first, rest = halves[0]
        return code, [self._handle(first)], nbGroups, self._handle(rest)

    def cuDevResourceGenerateDesc(self, resources: Any, nbResources: int) -> Any:
        assert len(resources) == nbResources == 1
        return Code.CUDA_SUCCESS, resources[0]

    def cuGreenCtxCreate(self, desc: Any, dev: Any, flags: int) -> Any:
        assert flags == 1
        return self._asked(lambda: self.driver.green_context(desc.of))

    def cuGreenCtxGetDevResource(self, hCtx: Any, typename: Any) -> Any:
        return Code.CUDA_SUCCESS, SimpleNamespace(sm=SimpleNamespace(smCount=len(hCtx.sms)))

    def cuGreenCtxStreamCreate(self, greenCtx: Any, flags: int, priority: int) -> Any:
        assert flags == 1
        return self._stream(greenCtx, priority)

    def cuStreamCreateWithPriority(self, flags: int, priority: int) -> Any:
        assert flags == 1
        return self._stream(None, priority)

    def cuStreamDestroy(self, hStream: Any) -> Any:
        return self._asked(lambda: self.driver.destroy(self.of_stream.pop(hStream), hStream))

    def cuGreenCtxDestroy(self, hCtx: Any) -> Any:
        # A stream that outlives its context is an error of the caller.
        assert hCtx not in self.of_stream.values()
        return (Code.CUDA_SUCCESS,)

    def _stream(self, context: Any, priority: int) -> Any:
        code, *made = self._asked(lambda: self.driver.stream(context, priority))
        if made:
            self.of_stream[made[0]] = context
        return code, *made

    def _handle(self, resource: Any) -> Any:
        rule = (
            {"minSmPartitionSize": resource.minimum, "smCoscheduledAlignment": resource.alignment}
            if self.has_rule
            else {}
        )
        return SimpleNamespace(sm=SimpleNamespace(smCount=resource.sms, **rule), of=resource)

    def _asked(self, call: Any) -> Any:
        try:
            answer = call()
        except DriverError as error:
            return Code[error.code], None
        return (Code.CUDA_SUCCESS,) if answer is None else (Code.CUDA_SUCCESS, answer)
