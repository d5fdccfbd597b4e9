"""Every place in the shipped kernels that orders memory, and what a run does without it.

    .venv/bin/python -m tests.test_transport.orders

takes the places away one after another and says which seed of which version noticed, and how.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from dualpipe_ref.comm import kernels
from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.transport.emulated import Emulated
from dualpipe_ref.comm.transport.emulated.ptx import Ptx
from tests.test_transport.queue_cases import SMALL, queues_of
from tests.test_transport.traffic import Traffic, combined, dispatched, drawn, made

# What orders, and what it becomes: the same without the order, or nothing.
WEAKER = (
    (r"_release_(sys|cta)\(", r"_relaxed_\1("),
    (r"_acquire_(sys|cta)\(", r"_relaxed_\1("),
    (r"cuda\.syncwarp\(\)", "pass"),
    (r"ptx\.fence_acq_rel_sys\(\)", "pass"),
)


class Place(NamedTuple):
    """One place, before it is taken away."""

    module: str
    function: str
    line: int
    text: str
    instead: str
    # Which of the places in its function that read alike.
    which: int

    def __str__(self) -> str:
        more = f" ({self.which})" if self.which > 1 else ""
        return f"{self.module}.{self.function}: {self.text.strip().partition('  #')[0]}{more}"


def modules() -> list[ModuleType]:
    """The modules of kernels that import no Numba."""
    folder = Path(inspect.getfile(kernels)).parent
    names = [path.stem for path in sorted(folder.glob("*.py"))]
    without = {"__init__", "ptx", "assembly", "compiled"}
    return [
        importlib.import_module(f"{kernels.__name__}.{name}")
        for name in names
        if name not in without
    ]


# Read at once, when the kernels are imported.
SOURCES = {module.__name__: inspect.getsource(module) for module in modules()}


def places() -> list[Place]:
    """All of them, in the order of the source."""
    found: list[Place] = []
    for module in modules():
        lines = SOURCES[module.__name__].splitlines()
        for function in functions(module):
            code = function.__code__
            for number in range(code.co_firstlineno, _last_line(function) + 1):
                text = lines[number - 1]
                for pattern, weaker in WEAKER:
                    if re.search(pattern, text.partition("#")[0]):
                        name = module.__name__.rpartition(".")[2]
                        instead = re.sub(pattern, weaker, text)
                        key = (name, code.co_name, text.partition("#")[0].strip())
                        alike = [one for one in found if _key(one) == key]
                        place = Place(*key[:2], number, text, instead, len(alike) + 1)
                        found.append(place)
    return found


def _key(place: Place) -> tuple[str, str, str]:
    return place.module, place.function, place.text.partition("#")[0].strip()


def functions(module: ModuleType) -> list[FunctionType]:
    """The functions of a module, its own and not what it imports."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, FunctionType) and value.__code__.co_filename == module.__file__
    ]


@contextmanager
def without(place: Place) -> Iterator[None]:
    """The kernels with this place taken away: its function gets other code, and its own again at the end."""
    module = importlib.import_module(f"{kernels.__name__}.{place.module}")
    lines = SOURCES[module.__name__].splitlines(keepends=True)
    lines[place.line - 1] = place.instead + "\n"
    scope: dict[str, Any] = {"__name__": module.__name__}
    exec(compile("".join(lines), f"{place.module}.py without", "exec", dont_inherit=True), scope)
    (function,) = (one for one in functions(module) if one.__name__ == place.function)
    kept, function.__code__ = function.__code__, scope[place.function].__code__
    # An instruction that no kernel needs, and so no GPU is asked for.
    Ptx.red_add_relaxed_cta = _added_relaxed  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del Ptx.red_add_relaxed_cta  # type: ignore[attr-defined]
        function.__code__ = kept


def _added_relaxed(self: Any, address: int, value: int) -> None:
    self._memory.change_word(address, value, "relaxed", "cta")


def _last_line(function: FunctionType) -> int:
    return max(line for _, _, line in function.__code__.co_lines() if line)


def direct(traffic: Traffic, emulated: Emulated) -> Any:
    return Direct(
        emulated,
        hidden=traffic.hidden,
        most_tokens=20,
        experts_per_token=traffic.per_token,
        num_sms=2,
        seconds=1e-3,
    )


def queues(traffic: Traffic, emulated: Emulated) -> Any:
    """One channel, so that all rings come round several times."""
    return queues_of(traffic, emulated, sizes=replace(SMALL, channels=1), seconds=1e-3)


VERSIONS: dict[str, Callable[[Traffic, Emulated], Any]] = {
    "direct": direct,
    "queues": queues,
}


def noticed(version: str, seed: int, reads: bool = False) -> str | None:
    """How a run of both phases on weak memory shows that something is missing; None if it does not."""
    shape = [(2, 2), (2, 3), (3, 2), (1, 3)][seed % 4]
    traffic = drawn(*shape, 20, seed, hidden=16, kind="even" if seed % 2 else "holes")
    emulated = Emulated(traffic.topology, seed, weak=True, reads=reads)
    try:
        exchange = VERSIONS[version](traffic, emulated)
        handles = dispatched(exchange, traffic)
        combined(exchange, traffic, handles, made(traffic, traffic.outgoing[0].tokens.dtype))
    except Exception as error:
        return type(error).__name__
    return "race" if emulated.races.found else None


def first_notice(place: Place, seeds: int) -> str | None:
    """Which version and seed are the first to notice that a place is missing."""
    versions = [
        one
        for one in VERSIONS
        if not place.module.startswith(tuple(VERSIONS)) or place.module.startswith(one[:5])
    ]
    with without(place):
        for reads, seed, version in product((True, False), range(seeds), versions):
            if how := noticed(version, seed, reads):
                return f"{version}, seed {seed}: {how}{' of a read' * reads}"
    return None


if __name__ == "__main__":
    for one in places():
        print(f"{one}: {first_notice(one, 16) or 'NOT NOTICED'}", flush=True)
