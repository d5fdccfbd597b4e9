"""What the checks of chapter 12 ask about times: computation, bytes, links and ways to split SMs, the smallest first."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from dualpipe_ref.hopper.reserve import nearest_split
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.volumes import Copies, Links, volume

Reach = list[tuple[int, Fraction]]
# SMs of a GPU, and the least number and the multiple in which they are split.
SPLITS = (
    *((2, 1, 1), (3, 1, 1), (4, 2, 2), (8, 1, 1), (16, 8, 8), (20, 4, 2), (64, 8, 8)),
    *((132, 2, 2), (132, 8, 8), (132, 16, 8), (128, 8, 8)),
)
# What few SMs reach of a network card, as HybridEP's table has it (see `simulate.cluster.transport`).
MEASURED: Reach = [(0, Fraction(0)), (4, Fraction(375, 466)), (8, Fraction(1))]
# GB/s of V3's machines, and what an SM can move over NVLink (246 GB/s with 16).
V3: dict[str, Any] = {
    "rdma": 50,
    "reach": MEASURED,
    "nvlink": 160,
    "nvlink_of_an_sm": Fraction(123, 8),
}


class Offer(NamedTuple):
    """A pair's computation in microseconds on all `sms` SMs, its bytes, its links, and how SMs are split."""

    compute: Fraction
    sent: tuple[Number, Number]
    links: dict[str, Any]
    sms: int
    minimum: int
    multiple: int

    def __str__(self) -> str:
        return f"S = {self.sms}, at least {self.minimum}, in multiples of {self.multiple}"

    def in_full(self) -> str:
        return f"compute = {self.compute} us, {sent_in_full(self.sent, self.links)}"

    @property
    def legal(self) -> list[int]:
        """The numbers of SMs that can be split off: all that is ever given."""
        asked = range(1, self.sms)
        return sorted({nearest_split(one, self.sms, self.minimum, self.multiple) for one in asked})

    @property
    def alone(self) -> Fraction:
        """One after the other, each on all SMs."""
        return self.compute + all_to_all(self.sms, self.sent, self.links)

    def pair(self, given: int) -> Fraction:
        """Both at once: computation on what is left."""
        slower = Fraction(self.sms, self.sms - given)
        return max(self.compute * slower, all_to_all(given, self.sent, self.links))

    def right(self) -> tuple[int, Fraction, int | None]:
        """By trying every legal number: the best one, its time, and the least that gains."""
        pairs = {given: self.pair(given) for given in self.legal}
        shortest, alone = min(pairs.values()), self.alone
        gains = [given for given, pair in pairs.items() if pair < alone]
        best = next(given for given, pair in pairs.items() if pair == shortest)
        return best, shortest, gains[0] if gains else None


def share(sms: int, reach: Reach) -> Fraction:
    """What so many SMs reach of a link: on the line between the points around them, and no more than the last one."""
    after = next((place for place, (at, _) in enumerate(reach) if at >= sms), None)
    if after is None:
        return reach[-1][1]
    (low, less), (high, more) = reach[after - 1], reach[after]
    return (less * (high - sms) + more * (sms - low)) / (high - low)


def all_to_all(sms: int, sent: tuple[Number, Number], links: dict[str, Any]) -> Fraction:
    """Microseconds, by the volumes of the package."""
    reached = Links(
        links["rdma"] * share(sms, links["reach"]),
        min(links["nvlink"], sms * links["nvlink_of_an_sm"]),
    )
    crossing = Copies(*(Fraction(size) for size in sent))
    return 1000 * Fraction(volume(crossing, 1, 1, reached).ms)


def sent_in_full(sent: tuple[Number, Number], links: dict[str, Any]) -> str:
    reach = ", ".join(f"{sms} SMs {part}" for sms, part in links["reach"])
    speeds = ", ".join(f"{name} {links[name]}" for name in links if name != "reach")
    return f"bytes {sent}, {speeds}, reach: {reach}"


def links_of(sms: int, draw: random.Random) -> dict[str, Any]:
    """Links that take one to all SMs of a GPU to fill."""
    points, at, part = draw.randint(1, min(3, sms)), 0, Fraction()
    reach: Reach = [(0, Fraction(0))]
    for place in range(points):
        at += draw.randint(1, sms // points)
        part = Fraction(1) if place == points - 1 else part + (1 - part) * draw.choice(THIRDS)
        reach.append((at, part))
    each = Fraction(draw.randint(1, 40), draw.randint(1, 3))
    return {
        "rdma": draw.choice((25, 50, 100)),
        "reach": reach,
        "nvlink": draw.choice((160, 450)),
        "nvlink_of_an_sm": each,
    }


THIRDS = (Fraction(1, 3), Fraction(2, 3))


def traffics() -> Iterator[tuple[int, tuple[int, int], dict[str, Any]]]:
    """SMs, bytes over both links, and the links."""
    draw = random.Random(121)
    for sms, *_ in SPLITS:
        for _ in range(8):
            links = links_of(sms, draw)
            yield draw.randint(1, sms), _sent(draw), links
    for given in (1, 2, 4, 5, 7, 8, 9, 10, 11, 20, 24, 132):
        yield given, (97_000_000, 197_000_000), V3


def _sent(draw: random.Random) -> tuple[int, int]:
    first, second = draw.randint(0, 9), draw.randint(0, 9)
    return draw.choice(((first * 10**6, 0), (0, second * 10**6), (first * 10**6, second * 10**6)))


def offers() -> Iterator[Offer]:
    """Drawn ones; equally short pairs; pairs that are exactly as long as one after the other; nothing to do, nothing to send."""
    draw = random.Random(122)
    for sms, minimum, multiple in SPLITS:
        for kind in ("drawn", "drawn", "drawn", "equal", "equal", "even", "even", "idle", "quiet"):
            links, sent = links_of(sms, draw), _sent(draw)
            compute = Fraction(draw.randint(1, 400), draw.randint(1, 3))
            offer = Offer(compute, sent, links, sms, minimum, multiple)
            yield _made(offer, kind, draw)
        for whole, traffic in ((4000, (100_000_000, 160_000_000)), (3000, (20_000_000, 0))):
            yield Offer(Fraction(whole), traffic, V3, sms, minimum, multiple)


def _made(offer: Offer, kind: str, draw: random.Random) -> Offer:
    legal = offer.legal
    few, many = sorted((draw.choice(legal), draw.choice(legal)))
    slow = all_to_all(few, offer.sent, offer.links)
    if kind == "equal":  # computation beside `many` takes as long as communication with `few`
        return offer._replace(compute=slow * Fraction(offer.sms - many, offer.sms))
    if (
        kind == "even"
    ):  # communication with `few`, or computation beside `many`, as long as both in turn
        whole = all_to_all(offer.sms, offer.sent, offer.links)
        from_tax = whole * Fraction(offer.sms - many, many)
        return offer._replace(compute=draw.choice((slow - whole, from_tax)))
    if kind == "idle":
        return offer._replace(compute=Fraction(0))
    return offer._replace(sent=(0, 0)) if kind == "quiet" else offer
