"""The runs that an answer is asked about: drawn from a seed, each kind of trap at several sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random
from typing import Any

Q = Fraction
GIB = 2**30
MIB = 2**20
PLENTY = Q(10**6)  # GiB
# (P, m): odd and even, short and long steps, whole rounds of P and not.
SIZES = (
    *((3, 6), (4, 4), (4, 8), (4, 7), (4, 6), (4, 5), (5, 10)),
    *((6, 12), (6, 13), (6, 7), (8, 16), (8, 20), (8, 12)),
)
# At these sizes a theme comes whether or not it is its turn.
ALWAYS = {
    (3, 6): ("nothing fits",),
    (4, 5): ("F = I = W with its all-to-all",),
    (4, 8): ("a forward longer than its backward", "a pair shorter than its own backward"),
    (5, 10): ("a pair shorter than its own backward", "nothing fits"),
    (6, 7): ("F = I = W with its all-to-all",),
    (6, 12): ("a pair shorter than its own backward", "no all-to-all to hide"),
}


@dataclass(frozen=True)
class Run:
    """One run, and what is special about it. Times are in ms, `memory` in GiB."""

    theme: str
    ranks: int
    microbatches: int
    F: Fraction
    I: Fraction  # noqa: E741 - the field's name
    W: Fraction
    exchange_F: Fraction  # noqa: N815
    exchange_I: Fraction  # noqa: N815
    reserved: int
    hidden: Fraction
    parameters: int
    chunk_bytes: int
    memory: Fraction = PLENTY
    gpus: int = 0
    tokens: int = 4096
    sms: int = 132
    parameter_bytes: int = 2
    gradient_bytes: int = 4
    state_bytes: int = 8
    simulated: tuple[tuple[str, int, Fraction], ...] = ()

    def plain(self) -> dict[str, Any]:
        """As an answer gets it."""
        told = {name: value for name, value in vars(self).items() if name != "theme"}
        return {**told, "simulated": list(self.simulated)}

    def __str__(self) -> str:
        return f"P = {self.ranks}, m = {self.microbatches}, {self.theme}"


def drawn(theme: str, ranks: int, microbatches: int, seed: int) -> Run:
    """A run in which all-to-alls take about half as long as computation, all of them hidden, and everything fits."""
    random = Random(f"{theme} {ranks} {microbatches} {seed}")
    data = random.choice([16, 32, 64])

    def ms(least: int, most: int) -> Fraction:
        return Q(random.randint(4 * least, 4 * most), 4)

    return Run(
        theme,
        ranks,
        microbatches,
        F=ms(4, 8),
        I=ms(4, 9),
        W=ms(3, 8),
        exchange_F=ms(2, 5),
        exchange_I=ms(2, 5),
        reserved=random.choice([4, 12, 20]),
        hidden=Q(random.randint(80, 100), 100),
        parameters=random.randint(8, 40) * 2**26,
        chunk_bytes=random.randint(100, 900) * 2 * MIB,
        gpus=data * ranks,
        tokens=random.choice([2048, 4096, 8192]),
        state_bytes=random.choice([8, 12]),
    )


def equal(run: Run) -> Run:
    """Ops that take the same time, their all-to-alls included: the domain of ZB-V."""
    return replace(run, F=run.W - run.exchange_F, I=run.W - run.exchange_I)


def long_weights(run: Run) -> Run:
    return replace(run, W=run.exchange_F + run.exchange_I + 3)


def no_exchange(run: Run) -> Run:
    return replace(run, W=run.I + 2, exchange_F=Q(0), exchange_I=Q(0))


def themes(ranks: int, microbatches: int, seed: int) -> Iterator[Run]:
    """All kinds of run of one size; what they hold is not yet held against a GPU."""

    def new(theme: str) -> Run:
        return drawn(theme, ranks, microbatches, seed)

    yield new("an ordinary run")
    yield equal(long_weights(new("F = I = W with its all-to-all")))
    yield no_exchange(new("no all-to-all to hide"))
    yield replace(
        new("more network than computation"),
        exchange_F=Q(19),
        exchange_I=Q(19, 2),
        hidden=Q(1),
    )
    yield replace(
        new("a tax larger than what it hides"),
        exchange_F=Q(1, 4),
        exchange_I=Q(1, 2),
        reserved=40,
    )
    yield replace(
        new("a forward longer than its backward"),
        F=Q(9),
        I=Q(2),
        W=Q(3),
        exchange_F=Q(4),
        exchange_I=Q(1),
        hidden=Q(19, 20),
    )
    yield replace(
        new("a pair barely longer than its own backward"),
        F=Q(3),
        I=Q(6),
        W=Q(6),
        exchange_F=Q(2),
        exchange_I=Q(4),
        hidden=Q(1),
        reserved=12,
    )
    yield replace(
        new("a pair shorter than its own backward"),
        F=Q(1),
        exchange_I=Q(12),
        exchange_F=Q(1),
        hidden=Q(1),
        reserved=4,
    )
