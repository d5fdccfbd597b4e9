"""What an answer may use while it is graded."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
# What an answer may import: what computes, and nothing that reaches files, processes or the network.
ALLOWED_MODULES = frozenset(
    [
        "__future__",
        "abc",
        "array",
        "bisect",
        "cmath",
        "collections",
        "collections.abc",
        "copy",
        "dataclasses",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "graphlib",
        "heapq",
        "itertools",
        "keyword",
        "math",
        "numbers",
        "operator",
        "random",
        "re",
        "reprlib",
        "statistics",
        "string",
        "textwrap",
        "types",
        "typing",
    ]
)


@dataclass(frozen=True)
class Limits:
    """Limits of one answer; times in seconds of the clock, sizes in bytes.

    `call_seconds` bounds each call and the loading, `total_seconds` all of them together,
    `memory_bytes` the address space of its process, `answer_bytes` what one call may return and
    `printed_bytes` how much of what it prints is kept.

    >>> Limits(call_seconds=2).memory_in_words
    '512 MiB'
    """

    call_seconds: float = 10.0
    total_seconds: float = 120.0
    memory_bytes: int = 512 * MIB
    answer_bytes: int = 8 * MIB
    printed_bytes: int = 64 << 10

    @property
    def memory_in_words(self) -> str:
        return f"{self.memory_bytes // MIB} MiB"
