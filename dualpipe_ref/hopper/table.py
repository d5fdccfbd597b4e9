"""What `dualpipe-ref bench hopper` left, as rows of tables and as maps of SMs for a page."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dualpipe_ref.hopper.sm_map import roles_of
from dualpipe_ref.plot.measured import Line, Results

WAYS_HEAD = (
    "kept apart by: who",
    "SMs of communication",
    "of computation",
    "of both",
    "of neither",
    "both at once",
    "µs from first to last start",
)
BESIDE_HEAD = (
    "kernels, SMs, kept apart by",
    "SMs given",
    "matmuls take longer, times",
    "lost SMs explain",
    "exposed, dispatch",
    "exposed, combine",
)
UNRESERVED_HEAD = (
    "blocks beside matmuls",
    "matmuls told nothing take longer, times",
    "lost SMs explain",
    "told how many are left",
    "communication takes longer, times",
)
_UNRESERVED = re.compile(r"unreserved_(\w+)_(\d+)_blocks_matmuls")
_MAP = re.compile(r"map_(.+?)(?:_(dispatch|combine))?_communication")
_BESIDE = re.compile(r"overlap_(\w+?)_(\d+)_sms_(.+)_tax")
_OF_WAY = ("communication", "computation", "both", "neither", "together", "spread")


def way_lines(found: Results) -> Iterator[Line]:
    """A row for each way of keeping SMs apart and each kernel, by what its blocks wrote down; its head is `WAYS_HEAD`.

    >>> rows = {f"map_plain_streams_{name}": {"value": 1.0} for name in _OF_WAY}
    >>> list(way_lines(Results(rows)))
    [('plain streams: blocks that only ask', '1', '1', '1', '1', '1', 1.0)]
    """
    for match in filter(None, map(_MAP.fullmatch, found)):
        name = match[0].removesuffix("communication")
        *counts, spread = (found.value(f"{name}{one}") for one in _OF_WAY)
        who = match[2] or "blocks that only ask"
        yield (f"{_words(match[1])}: {who}", *(f"{count:.0f}" for count in counts), spread)


def beside_lines(found: Results) -> Iterator[Line]:
    """A row for each overlap that was measured, the head `BESIDE_HEAD`; an exposed share that is not there is left empty.

    >>> rows = {"tax": 1.2, "tax_beyond": 1.0, "given": 24.0, "dispatch_exposed": 0.25}
    >>> named = {f"overlap_queues_24_sms_green_contexts_{name}": {"value": value} for name, value in rows.items()}
    >>> list(beside_lines(Results(named)))
    [('queues, 24, green contexts', '24', 1.2, 1.2, '25 %', '')]
    """
    for match in filter(None, map(_BESIDE.fullmatch, found)):
        name = match[0].removesuffix("_tax")
        tax = found.value(match[0])
        exposed = (
            f"{100 * found.value(row):.0f} %" if row in found else ""
            for row in (f"{name}_dispatch_exposed", f"{name}_combine_exposed")
        )
        yield (
            f"{match[1]}, {match[2]}, {_words(match[3])}",
            f"{found.value(f'{name}_given'):.0f}",
            tax,
            tax / found.value(f"{name}_tax_beyond"),
            *exposed,
        )


def unreserved_lines(found: Results) -> Iterator[Line]:
    """A row for each grid that reserved nothing, the head `UNRESERVED_HEAD`; where matmuls were not told, that is left empty.

    >>> rows = {"matmuls": 2.0, "matmuls_beyond": 1.6, "communication": 1.5}
    >>> named = {f"unreserved_copying_20_blocks_{name}": {"value": value} for name, value in rows.items()}
    >>> list(unreserved_lines(Results(named)))
    [('20, copying', 2.0, 1.25, '', 1.5)]
    """
    for match in filter(None, map(_UNRESERVED.fullmatch, found)):
        name = match[0].removesuffix("_matmuls")
        takes = found.value(match[0])
        told = found.value(f"{name}_told") if f"{name}_told" in found else ""
        yield (
            f"{match[2]}, {match[1]}",
            takes,
            takes / found.value(f"{match[0]}_beyond"),
            told,
            found.value(f"{name}_communication"),
        )


def maps(found: Results) -> dict[str, list[str]]:
    """The role of each SM by way, from the file that lies beside the other (`hopper_maps`); empty without it.

    >>> row = {"unit": "of 3 SMs ran both", "sms": {"plain streams": {"both": [1], "communication": [], "neither": []}}}
    >>> maps(Results(plain_streams_both=row))
    {'plain streams': ['computation', 'both', 'computation']}
    """
    for row in found.values():
        sms = int(re.findall(r"of (\d+) SMs", row["unit"])[0])
        return {way: roles_of(written, sms) for way, written in row["sms"].items()}
    return {}


def _words(name: str) -> str:
    return name.replace("_", " ")
