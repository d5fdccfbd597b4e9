"""Completeness and local order: each chunk's F, I and W run once, on its rank, in that order."""

from __future__ import annotations

from collections.abc import Iterator

from dualpipe_ref.schedule.ir import OpKind, Payload, Schedule
from dualpipe_ref.schedule.numbering import NO_CHUNK, FlatOp, Numbering
from dualpipe_ref.schedule.violations import Place, Rule, Violation

# What is done of a chunk, as bits.
FORWARD, INPUT, WEIGHT = 1, 2, 4
DONE_BY = {
    OpKind.F: FORWARD,
    OpKind.I: INPUT,
    OpKind.W: WEIGHT,
    OpKind.B: INPUT | WEIGHT,
    OpKind.FB: INPUT | WEIGHT,
}
NAMES = {FORWARD: "F", INPUT: "I", WEIGHT: "W"}


def check_compute(schedule: Schedule) -> list[Violation]:
    """Every broken rule of completeness or local order, in program order, then what is missing."""
    numbering = schedule.numbering
    done = bytearray(numbering.chunks)
    local = _local_inputs(numbering)
    found = [
        Violation(rule, Place(rank, position, schedule.ops[rank][position]), reason)
        for rank, ops in enumerate(schedule.flat_ops)
        for position, rule, reason in _check_rank(numbering, ops, local, done)
    ]
    if done.count(FORWARD | INPUT | WEIGHT) != len(done):
        found += _missing(numbering, done)
    # What runs twice or never comes first: it is often why another op came too early.
    return sorted(found, key=lambda violation: violation.rule != Rule.COMPLETENESS)


def _check_rank(
    numbering: Numbering, ops: list[FlatOp], local: dict[Payload, set[int]], done: bytearray
) -> Iterator[tuple[int, Rule, str]]:
    """(position, rule, reason) of each op that runs twice, or before what it needs on its own rank."""
    n = numbering.n
    for position, (kind, forward, backward, _, _) in enumerate(ops):
        # An overlapped F and B run side by side: neither may need the other, so both are checked
        # before either is marked.
        if forward != NO_CHUNK:
            if done[forward] & FORWARD:
                yield position, *_twice(numbering, forward, FORWARD)
            elif local and forward // n in local[Payload.ACTIVATION] and not done[forward - n]:
                yield position, *_too_early(numbering, forward - n, FORWARD)
        if backward != NO_CHUNK:
            has, adds = done[backward], DONE_BY[kind]
            if has & adds:
                yield position, *_twice(numbering, backward, has & adds)
            elif not has & FORWARD:
                yield position, *_too_early(numbering, backward, FORWARD)
            elif kind is OpKind.W:
                if not has & INPUT:
                    yield position, *_too_early(numbering, backward, INPUT)
            elif (
                local
                and backward // n in local[Payload.GRADIENT]
                and not done[backward + n] & INPUT
            ):
                yield position, *_too_early(numbering, backward + n, INPUT)
            done[backward] |= adds
        if forward != NO_CHUNK:
            done[forward] |= FORWARD


def _twice(numbering: Numbering, chunk: int, bits: int) -> tuple[Rule, str]:
    return Rule.COMPLETENESS, f"{_work(numbering, chunk, bits)} runs a second time"


def _too_early(numbering: Numbering, chunk: int, bits: int) -> tuple[Rule, str]:
    return Rule.ORDER, f"{_work(numbering, chunk, bits)} has not run yet"


def _local_inputs(numbering: Numbering) -> dict[Payload, set[int]]:
    """Rows whose activation (gradient) comes from a neighbouring stage of the same rank."""
    rows: dict[Payload, set[int]] = {Payload.ACTIVATION: set(), Payload.GRADIENT: set()}
    half = len(numbering.wires) // 2
    for row, wire in enumerate(numbering.wires):
        if wire.source == wire.destination:
            target = row + 1 if wire.payload is Payload.ACTIVATION else row - half - 1
            rows[wire.payload].add(target)
    return rows if any(rows.values()) else {}


def _missing(numbering: Numbering, done: bytearray) -> list[Violation]:
    found = []
    for chunk, has in enumerate(done):
        lacks = (FORWARD | INPUT | WEIGHT) & ~has
        if lacks:
            rank = numbering.chunk_home(chunk)[0]
            reason = f"rank {rank} never runs {_work(numbering, chunk, lacks)}"
            found.append(Violation(Rule.COMPLETENESS, None, reason))
    return found


def _work(numbering: Numbering, chunk: int, bits: int) -> str:
    """The work in words: 'I and W of micro-batch 3 in slot 0'."""
    names = " and ".join(name for bit, name in NAMES.items() if bits & bit)
    _, slot, microbatch = numbering.chunk_home(chunk)
    return f"{names} of micro-batch {microbatch} in slot {slot}"
