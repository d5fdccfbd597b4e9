"""The PTX of one kernel as a graph of blocks, to ask questions of."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

REGISTER = re.compile(r"%[a-z]+\d+")
# These write no register.
WITHOUT_RESULT = ("st.", "red.", "bra", "bar.", "ret", "fence.", "nanosleep", "membar", "trap")


class Place(NamedTuple):
    """A function of the source that an instruction comes from."""

    module: str
    function: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}.{self.function}, line {self.line}"


@dataclass(frozen=True)
class Instruction:
    """`code` such as ld.acquire.sys.global.b64, the registers it writes and reads, and where it comes from."""

    code: str
    operands: str
    written: tuple[str, ...]
    read: tuple[str, ...]
    place: Place | None

    @property
    def is_load(self) -> bool:
        """Of memory that others may write."""
        return self.code.startswith(("ld.", "atom.")) and not self.code.startswith("ld.param")

    def address(self) -> tuple[str, ...]:
        """The registers in brackets."""
        return tuple(REGISTER.findall(" ".join(re.findall(r"\[(.*?)\]", self.operands))))

    def __str__(self) -> str:
        return f"{self.code} ({self.place})" if self.place else self.code


@dataclass
class Block:
    instructions: list[Instruction] = field(default_factory=list)
    following: list[int] = field(default_factory=list)


class Kernel:
    """The blocks of a kernel's PTX, in the order of the text; block 0 is the entry."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.files = dict(re.findall(r'\.file\s+(\d+) "(.*?)"', text))
        self.blocks: list[Block] = []
        self._labels: dict[str, int] = {}
        body = text[text.index("{", text.index(".entry")) + 1 :]
        self._read(re.split(r"\n\}", body)[0])
        self._is_connected = False

    def instructions(self) -> Iterator[Instruction]:
        for block in self.blocks:
            yield from block.instructions

    def _read(self, body: str) -> None:
        self.blocks.append(Block())
        place = None
        for line in _statements(body):
            if label := re.fullmatch(r"(\$L\w+):", line):
                self.blocks.append(Block())
                self._labels[label[1]] = len(self.blocks) - 1
            elif located := re.match(r"\.loc\s+(\d+) (\d+)", line):
                place = self._place(*located.groups()) or place
            elif line.endswith(";") and not line.startswith("."):
                self.blocks[-1].instructions.append(_instruction(line, place))
                if re.match(r"(@!?%p\d+ )?(bra|ret|trap|exit)\b", line):
                    self.blocks.append(Block())

    def _place(self, file: str, line: str) -> Place | None:
        # Line 0 stands for what the compiler added.
        return None if line == "0" else _function_at(self.files[file], int(line))

    def _connect(self) -> None:
        """Find out what follows each block. Not done without need: with lines, NVVM 13.0 may leave out a label that is used."""
        if self._is_connected:
            return
        self._is_connected = True
        for number, block in enumerate(self.blocks):
            last = block.instructions[-1] if block.instructions else None
            code = last.code if last else ""
            if code.startswith("brx"):
                raise ValueError("a table of jumps, which nobody here reads")
            if last and code.startswith("bra"):
                block.following.append(self._labels[last.operands])
            is_conditional = bool(last and last.read)
            if not code.startswith(("bra", "ret", "trap", "exit")) or is_conditional:
                block.following += [number + 1] if number + 1 < len(self.blocks) else []

    def cycles(self, without: Callable[[Block], bool] = lambda block: False) -> list[set[int]]:
        """Sets of blocks that reach one another: what may be run again and again, once some blocks are taken away."""
        self._connect()
        kept = [number for number, block in enumerate(self.blocks) if not without(block)]
        reach = {number: self._reached(number, set(kept)) for number in kept}
        found = {frozenset(b for b in reach[a] if a in reach[b]) for a in kept if a in reach[a]}
        return [set(one) for one in found]

    def _reached(self, start: int, kept: set[int]) -> set[int]:
        found: set[int] = set()
        waiting = [number for number in self.blocks[start].following if number in kept]
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting += [one for one in self.blocks[number].following if one in kept]
        return found

    def writers(
        self, registers: Iterable[str], through: tuple[str, ...] = ("",)
    ) -> list[Instruction]:
        """All instructions from which these registers come, step by step, `through` those whose code begins so."""
        by_register = self._by_register()
        seen: set[str] = set()
        waiting, found = list(registers), []
        while waiting:
            register = waiting.pop()
            if register not in seen:
                seen.add(register)
                for one in by_register.get(register, []):
                    found.append(one)
                    # What a load gives is a new number: its address says nothing of it.
                    if one.code.startswith(through) and not one.is_load:
                        waiting += one.read
        return found

    def _by_register(self) -> dict[str, list[Instruction]]:
        if not hasattr(self, "_writers"):
            self._writers: dict[str, list[Instruction]] = {}
            for one in self.instructions():
                for register in one.written:
                    self._writers.setdefault(register, []).append(one)
        return self._writers


def _statements(body: str) -> Iterator[str]:
    """Instructions, labels and directives, one by one, with one space between their parts."""
    for raw in re.sub(r"//.*", "", body).splitlines():
        line = re.sub(r"\s+", " ", raw).strip()
        if line.startswith("{ ") or "; " in line:  # several in braces, as one text of assembly
            yield from (part.strip(" {}") + ";" for part in line.split(";") if part.strip(" {}"))
        elif line:
            yield line


def _instruction(line: str, place: Place | None) -> Instruction:
    guarded = re.match(r"@!?(%p\d+) ", line)
    text = line[guarded.end() :] if guarded else line
    code, _, operands = text.rstrip(";").partition(" ")
    registers = REGISTER.findall(operands)
    count = 0
    if not code.startswith(WITHOUT_RESULT):
        first = re.match(r"\{.*?\}|[^,]*", operands)
        count = len(REGISTER.findall(first[0])) if first else 0
    read = [*registers[count:], *([guarded[1]] if guarded else [])]
    return Instruction(code, operands.strip(), tuple(registers[:count]), tuple(read), place)


@cache
def _functions(path: str) -> list[tuple[int, int, str]]:
    tree = ast.parse(Path(path).read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [(node.lineno, node.end_lineno or node.lineno, node.name) for node in found]


def _function_at(path: str, line: int) -> Place | None:
    """The innermost function around a line; none for files that are gone, such as a test's text."""
    if not Path(path).is_file():
        return None
    around = [one for one in _functions(path) if one[0] <= line <= one[1]]
    return Place(Path(path).stem, max(around)[2], line) if around else None
