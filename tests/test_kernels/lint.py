"""What the source of kernels may hold, read from it without running anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dualpipe_ref.comm import kernels, transport
from dualpipe_ref.comm.kernels.machine import NAMES
from dualpipe_ref.comm.transport.emulated.cuda import Cuda

MACHINE = "dualpipe_ref.comm.kernels.machine"
# Flags: what others wait for.
FLAG = re.compile(r"(ld_(acquire|relaxed)|atom)_\w+")
# An instruction of PTX with its operands.
INSTRUCTION = re.compile(r"\b[a-z]{2,}(\.[a-z0-9_:]+)+ .*[\[{$%].*;|%(smid|globaltimer|clock)")
# What the emulator's `cuda` has; what is set in its constructor is listed by hand.
CUDA = {name for name in vars(Cuda) if not name.startswith("_")} | {"warpsize", "shared"}
NUMPY = {"int64", "float32"}


class Source(NamedTuple):
    """A file with kernels, or functions that they call."""

    name: str
    tree: ast.Module

    def functions(self) -> list[ast.FunctionDef]:
        """Those that run on a GPU: kernels and device functions, not what the host calls."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]
        return [one for one in found if _runs_on_gpu(one)]


@cache
def sources() -> tuple[Source, ...]:
    """All files of the kernels and transports whose functions name what a machine gives them."""
    folders = [Path(next(iter(one.__path__))) for one in (kernels, transport)]
    texts = {
        f"{folder.name}/{file.name}": file.read_text()
        for folder in folders
        for file in sorted(folder.glob("*.py"))
    }
    return tuple(one for name, text in texts.items() if _has_kernels(one := of_text(text, name)))


def of_text(text: str, name: str = "planted.py") -> Source:
    return Source(name, ast.parse(text))


def all_texts() -> dict[str, str]:
    """Every file of the kernels and transports, whether or not it has kernels."""
    folders = [Path(next(iter(one.__path__))) for one in (kernels, transport)]
    return {str(file): file.read_text() for folder in folders for file in folder.rglob("*.py")}


def _has_kernels(source: Source) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == MACHINE
        and {alias.name for alias in node.names} & {*NAMES, "device"}
        for node in ast.walk(source.tree)
    )


def _runs_on_gpu(function: ast.FunctionDef) -> bool:
    decorated = any(
        isinstance(one, ast.Name) and one.id == "device" for one in function.decorator_list
    )
    return decorated or [one.arg for one in function.args.args] == ["plan"]


def faults(found: Sequence[Source]) -> list[str]:
    """Everything that the kernels of these files must not hold, as sentences."""
    waiting, looking = _waiting(found), _looking(found)
    return [
        f"{source.name}:{line}: {words}"
        for source in found
        for function in source.functions()
        for line, words in (
            *_names(function),
            *_numbers(function),
            *([] if source.name.endswith("/waiting.py") else _polls(function, waiting, looking)),
        )
    ]


def _names(function: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    for node in ast.walk(function):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
            continue
        base, name = node.value.id, node.attr
        if base == "cuda" and name == "ldcv":
            yield node.lineno, "cuda.ldcv is no volatile load: it is done once for a whole loop"
        elif base == "cuda" and name not in CUDA:
            yield node.lineno, f"cuda.{name} is not in the emulator"
        elif base == "ptx" and name == "ld_v4_constant" and function.name != "copy_input":
            yield node.lineno, "only inputs are constant while a kernel runs: packing.copy_input"
        elif base in ("np", "numpy") and name not in NUMPY:
            yield node.lineno, f"np.{name}: kernels keep to int64 and float32"


def _numbers(function: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    sums = (node for node in ast.walk(function) if isinstance(node, ast.BinOp))
    # An offset such as `plan.errors + 32` is no number of lanes.
    offsets = {id(one.right) for one in sums if isinstance(one.op, ast.Add | ast.Sub)}
    for node in ast.walk(function):
        if isinstance(node, ast.Constant) and not isinstance(node.value, bool):
            if node.value in (31, 32) and id(node) not in offsets:
                yield node.lineno, f"{node.value}: a warp has cuda.warpsize lanes"
            elif node.value == 0xFFFFFFFF:
                yield node.lineno, "a mask is FULL"
            elif isinstance(node.value, float):
                yield node.lineno, f"{node.value} is a float64"


def _polls(
    function: ast.FunctionDef, waiting: set[str], looking: set[str]
) -> Iterator[tuple[int, str]]:
    for node in ast.walk(function):
        if isinstance(node, ast.While):
            calls = _calls(node)
            in_test = any(name.startswith(("ld_", "atom_")) for name in _calls(node.test))
            looks = bool(calls & looking) or any(map(FLAG.fullmatch, calls))
            if (in_test or (looks and not _is_counted(node))) and not calls & waiting:
                yield node.lineno, "turns around memory without a wait of waiting.py"
        if isinstance(node, ast.Attribute) and node.attr == "nanosleep":
            yield node.lineno, "only waiting.py naps"


def _is_counted(loop: ast.While) -> bool:
    """Whether each turn, whatever happens in it, adds to a name that the loop's test compares."""
    compared = {one.id for one in ast.walk(loop.test) if isinstance(one, ast.Name)}
    counted = {
        one.target.id
        for one in loop.body
        if isinstance(one, ast.AugAssign) and isinstance(one.target, ast.Name)
    }
    return bool(compared & counted) and not any(
        isinstance(one, ast.Continue) for one in ast.walk(loop)
    )


def _calls(node: ast.AST) -> set[str]:
    """The names of what is called, without what stands before the dot."""
    called = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
    names = [
        one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "") for one in called
    ]
    return set(names)


def _waiting(found: Sequence[Source]) -> set[str]:
    """The functions of waiting.py that look at the clock, and all that call one of them."""
    own = [
        one for source in found if source.name.endswith("/waiting.py") for one in source.functions()
    ]
    timed = {one.name for one in own if "globaltimer" in _calls(one)}
    return _callers(found, timed)


def _looking(found: Sequence[Source]) -> set[str]:
    """The functions that load a flag, and all that call one of them."""
    functions = [one for source in found for one in source.functions()]
    return _callers(found, {one.name for one in functions if any(map(FLAG.fullmatch, _calls(one)))})


def _callers(found: Sequence[Source], names: set[str]) -> set[str]:
    functions = [one for source in found for one in source.functions()]
    names, size = set(names), -1
    while len(names) != size:
        size = len(names)
        names |= {one.name for one in functions if _calls(one) & names}
    return names


def assembly_faults(texts: dict[str, str]) -> list[str]:
    """Text of instructions outside kernels/ptx.py, what makes functions of it outside kernels/assembly.py, barriers with numbers."""
    found = []
    for name, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if INSTRUCTION.search(node.value) and not name.endswith("kernels/ptx.py"):
                    found.append(f"{name}:{node.lineno}: PTX outside kernels/ptx.py")
                if re.search(r"\bbar(rier)?\.(sync|arrive)", node.value):
                    found.append(f"{name}:{node.lineno}: a barrier with a number")
            is_assembly = isinstance(node, ast.Attribute) and node.attr == "InlineAsm"
            if is_assembly and not name.endswith("kernels/assembly.py"):
                found.append(f"{name}:{node.lineno}: assembly outside kernels/assembly.py")
    return found
