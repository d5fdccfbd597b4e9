"""What a kernel may name, and how it gets it: the same source is built for a GPU and for the emulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class Name:
    """Stands for what a machine gives a kernel when it is built; it cannot be used before."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise RuntimeError(
            f"{self._name}.{attribute} is there when a kernel has been built by machine.bind, not before"
        )


# Numba's `cuda`: threadIdx.x, blockIdx.x, blockDim.x, warpsize, shared.array, syncthreads, syncwarp, shfl_sync,
# ballot_sync, all_sync, any_sync, nanosleep. (The emulator has these and no others.)
cuda: Any = Name("cuda")
# `kernels/ptx.py`: the only place for PTX.
ptx: Any = Name("ptx")
# How a transport reaches a peer: put, add; see `transport/copying.py`.
link: Any = Name("link")
# The numbers that combine adds: see `kernels/bfloat16.py` and `kernels/float32.py`.
element: Any = Name("element")

NAMES = ("cuda", "ptx", "link", "element")
# All lanes of a warp.
FULL = 0xFFFFFFFF


def device(function: Function) -> Function:
    """Mark a function that kernels call: it is built together with them."""
    function.__is_device__ = True  # type: ignore[attr-defined]
    return function


def bind(
    kernel: Callable[..., Any],
    given: Mapping[str, Any],
    wrap: Callable[[Callable[..., Any]], Any] = lambda function: function,
) -> Callable[..., Any]:
    """A copy of the kernel in which the names stand for what is `given`, and so in all device functions that it calls.

    `wrap` makes of each of those what the machine calls (on a GPU `numba.cuda.jit(device=True)`). A module of device
    functions that is given for a name, such as a transport's `link`, is built in the same way.

    >>> from types import SimpleNamespace
    >>> @device
    ... def twice(x): return ptx.add(x, x)
    >>> def kernel(x): return twice(x) + 1
    >>> bind(kernel, {"ptx": SimpleNamespace(add=lambda a, b: a + b)})(4)
    9
    """
    return _Binding(given, wrap).function(kernel)


class _Binding:
    def __init__(self, given: Mapping[str, Any], wrap: Callable[[Callable[..., Any]], Any]) -> None:
        unknown = set(given) - set(NAMES)
        if unknown:
            raise ValueError(f"a kernel names {', '.join(NAMES)}; got {', '.join(sorted(unknown))}")
        self._given, self._wrap = given, wrap
        self._wrapped: dict[Callable[..., Any], Any] = {}
        self._modules: dict[str, ModuleType] = {}

    def function(self, source: Callable[..., Any]) -> Callable[..., Any]:
        assert isinstance(source, FunctionType)
        names = dict(source.__globals__)
        for name in source.__code__.co_names:
            if name in names:
                names[name] = self._bound(names[name])
        bound = FunctionType(
            source.__code__, names, source.__name__, source.__defaults__, source.__closure__
        )
        bound.__module__, bound.__doc__ = source.__module__, source.__doc__
        return bound

    def _bound(self, value: Any) -> Any:
        if isinstance(value, Name):
            return self._machine(value._name)
        if getattr(value, "__is_device__", False):
            if value not in self._wrapped:
                self._wrapped[value] = self._wrap(self.function(value))
            return self._wrapped[value]
        return value

    def _machine(self, name: str) -> Any:
        given = self._given.get(name, Name(name))
        if not isinstance(given, ModuleType) or not _devices(given):
            return given
        if name not in self._modules:
            self._modules[name] = ModuleType(given.__name__)
            for attribute, function in _devices(given).items():
                setattr(self._modules[name], attribute, self._bound(function))
        return self._modules[name]


def _devices(module: ModuleType) -> dict[str, Callable[..., Any]]:
    return {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "__is_device__", False) and value.__module__ == module.__name__
    }
