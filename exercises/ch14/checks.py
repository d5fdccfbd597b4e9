"""What an answer to chapter 14 must do, each over generated sizes, the smallest first."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check, Fault

from .machine import Bench, Case, Rings, cases

FLOAT32, BFLOAT16 = 24, 8
ROOMY = Rings(rdma=16, nvlink=32)


def _are(said: Any, right: Any) -> bool:
    """The same whole numbers in the same nest of lists or tuples; True is none."""
    if isinstance(right, list | tuple):
        return (
            isinstance(said, list | tuple)
            and len(said) == len(right)
            and all(map(_are, said, right))
        )
    return type(said) is int and bool(said == right)


def _short(said: Any) -> str:
    text = repr(said)
    return text if len(text) < 130 else f"{text[:120]}..."


def prefixes(answer: Answer) -> str | None:
    for case in cases():
        for rank in case.ranks:
            wanted = case.wanted(rank)
            said = call(answer, "prefixes", wanted, case.nodes, case.gpus, case.channels)
            right = case.prefixes(rank)
            if not isinstance(said, list | tuple) or len(said) != 2:
                return f"{case}: prefixes returns {_short(said)}, not two tables"
            for name, yours, its in zip(("rank", "node"), said, right, strict=True):
                if not _are(yours, its):
                    return (
                        f"{case}, sender {rank}, wanted {_short(wanted)}: up to each channel to each"
                        f" {name} you say {_short(yours)}, it is {its}"
                    )
    return None


def rows(answer: Answer) -> str | None:
    for case in cases():
        tables = [case.prefixes(rank)[0] for rank in case.ranks]
        for rank in case.ranks:
            said, right = call(answer, "first_rows", tables, rank), case.first_rows(rank)
            if not _are(said, right):
                return f"{case}, receiver {rank}: you say {_short(said)}, rows begin at {right}"
    return None


def once(answer: Answer) -> str | None:
    for case in cases():
        for rank in case.ranks:
            wanted = case.wanted(rank)
            said = call(answer, "messages", wanted, case.nodes, case.gpus, case.channels)
            right = case.messages(rank)
            if not _are(said, right):
                return (
                    f"{case}, sender {rank}, wanted {_short(wanted)}: you send"
                    f" {_short(said)}, each token once a node is {_short(right)}"
                )
    return None


def _run(answer: Answer, case: Case, rings: Rings, seed: int, at_once: bool = False) -> None:
    """All forwarding GPUs and channels of a case, each with rings of its own."""
    for rank in case.ranks:
        for channel in range(case.channels):
            incoming = case.incoming(rank, channel)
            try:
                turn = partial(call, answer, "forward")
                Bench(incoming, case.gpus, rings, turn, seed, at_once).run()
            except Fault as fault:
                masks = [[mask for _, mask in of_node] for of_node in incoming]
                raise Fault(
                    f"{case}, GPU {rank}, channel {channel}, rings of {rings.rdma} and"
                    f" {rings.nvlink}, schedule {seed}, masks that arrive {_short(masks)}: {fault}"
                ) from None


def copies(answer: Answer) -> None:
    for number, case in enumerate(cases()):
        if number % 2 == 0:
            _run(answer, case, ROOMY, number, at_once=True)


def tight(answer: Answer) -> None:
    draw = random.Random(1)
    for number, case in enumerate(cases()):
        for seed in (number, number + 1000):
            if len(case.ranks) < 7 or seed % 8 == 0:
                _run(answer, case, Rings(draw.randint(1, 3), draw.randint(1, 2)), seed)


def _as_float32(number: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


def _as_bfloat16(number: float) -> float:
    """By its bits: a float32 is cut in two, and the upper half takes the carry of rounding to even."""
    (whole,) = struct.unpack("<I", struct.pack("<f", number))
    whole += 0x7FFF + (whole >> 16 & 1)
    return float(struct.unpack("<f", struct.pack("<I", whole & 0xFFFF0000))[0])


TYPES: dict[int, Callable[[float], float]] = {FLOAT32: _as_float32, BFLOAT16: _as_bfloat16}
NAMES = {FLOAT32: "float32", BFLOAT16: "bfloat16"}


def two_levels(rows_of_token: dict[int, float], gpus: int, bits: int) -> float:
    """As machines do it: float32 sums in the order of GPUs, rounded to the message, then those of nodes."""
    narrow, total = TYPES[bits], 0.0
    for node in sorted({rank // gpus for rank in rows_of_token}):
        inside = 0.0
        for rank in sorted(rows_of_token):
            if rank // gpus == node:
                # A sum of two float32 in double precision is rounded once more, and no differently.
                inside = _as_float32(inside + rows_of_token[rank])
        total = _as_float32(total + narrow(inside))
    return narrow(total)


def numbers() -> Iterator[tuple[Fraction, int, Fraction]]:
    """(number, bits, nearest): whole ones first, with many that lie just between two."""
    draw = random.Random(2)
    for bits in (BFLOAT16, FLOAT32):
        for number in (0.0, 1.0, -3.0, 2.0**bits + 1, 2.0**bits + 3, -(2.0**bits) - 1, 2.0**-9):
            yield Fraction(number), bits, Fraction(TYPES[bits](number))
        for _ in range(60):
            upper = draw.randrange(1 << (bits - 1), 1 << bits)
            rest = draw.choice((Fraction(1, 2), Fraction(1, 4), Fraction(3, 4), Fraction(33, 64)))
            exact = (upper + rest) * Fraction(2) ** draw.randint(-40, 20) * draw.choice((1, -1))
            # With so few bits all of these are exact in double precision.
            yield exact, bits, Fraction(TYPES[bits](_once(exact, bits)))


def _once(exact: Fraction, bits: int) -> float:
    """As a double; for bfloat16 it goes through float32, in which these numbers are exact."""
    number = float(exact)
    assert Fraction(number) == exact
    assert bits == FLOAT32 or Fraction(_as_float32(number)) == exact
    return number


def rounding(answer: Answer) -> str | None:
    for exact, bits, right in numbers():
        said = call(answer, "rounded", exact, bits)
        if type(said) not in (int, Fraction) or said != right:
            return (
                f"N = 1: {exact} in {bits} bits ({NAMES[bits]}): you say {_short(said)}, the"
                f" nearest is {right}"
            )
    return None


def sums(answer: Answer) -> str | None:
    draw = random.Random(3)
    for nodes, gpus in ((1, 1), (1, 2), (2, 1), (1, 4), (2, 2), (3, 2), (2, 4), (4, 4)):
        for bits in (BFLOAT16, FLOAT32):
            for _ in range(24):
                count = draw.randint(0, nodes * gpus)
                of_token = {
                    rank: TYPES[bits](draw.gauss(0, 1) * 2.0 ** draw.randint(-2, 2))
                    for rank in sorted(draw.sample(range(nodes * gpus), count))
                }
                arrival = [(rank, Fraction(of_token[rank])) for rank in of_token]
                draw.shuffle(arrival)
                said = call(answer, "combined", arrival, gpus, bits)
                right = Fraction(two_levels(of_token, gpus, bits))
                if type(said) not in (int, Fraction) or said != right:
                    shown = ", ".join(f"{rank}: {float(one)}" for rank, one in arrival)
                    return (
                        f"N = {nodes}, L = {gpus}, {NAMES[bits]}, rows as they came {{{shown}}}: you"
                        f" say {_told(said)}, two levels give {float(right)}"
                    )
    return None


def _told(said: Any) -> str:
    return repr(float(said)) if type(said) in (int, Fraction) else _short(said)


CHECKS = (
    Check(
        "prefixes",
        "tokens for each rank and for each node, up to and with each channel",
        prefixes,
        points=1,
        hint="a channel has ceil(T / C) tokens in a row; a token counts once for a node",
    ),
    Check(
        "rows",
        "a source's rows begin behind those of all sources before it, a channel's behind its channels before",
        rows,
        points=1,
        hint="the last number of a source's prefix is all that comes from it",
    ),
    Check(
        "once",
        "each token is in one message for each node that wants it, with the mask of the GPUs there",
        once,
        points=2,
        hint="the own node is a node like the others; bit l of the mask is the GPU at place l",
    ),
    Check(
        "copies",
        "every GPU gets what is for it, in order from each node, and nothing else",
        copies,
        points=2,
        hint="look at every message, copy it if your bit is set, and pass it in any case",
    ),
    Check(
        "rings",
        "with rings of one to three slots nothing is overwritten, read too early or stuck, in any schedule",
        tight,
        needs=("copies",),
        points=2,
        hint="first copy, then publish, then pass; at most `ring` messages may be copied and not yet taken",
    ),
    Check(
        "rounding",
        "the nearest number with so many bits, ties to even, as float32 and bfloat16 have it",
        rounding,
        points=1,
        hint="find the power of two in which the number has `bits` whole digits; Python's round does the rest",
    ),
    Check(
        "sums",
        "both levels in the order of ranks, each addition rounded to float32, each message to its type",
        sums,
        needs=("rounding",),
        points=1,
        hint="rows come in any order: add the GPUs of a node in theirs, round, then add the nodes in theirs",
    ),
)
