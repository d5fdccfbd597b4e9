"""How long an all-to-all takes: bytes from `volumes`, links of a device, and what moves the bytes.

What moves them decides how many SMs it needs and how much of the links it reaches with those that it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError, require_int, shortened
from dualpipe_ref.simulate.cluster.constants import Kernels
from dualpipe_ref.simulate.cluster.device import Device
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.volumes import (
    Copies,
    ExpertGrid,
    Links,
    Spread,
    combine_bytes,
    copies,
    dispatch_bytes,
    expected_spread,
    volume,
)


class Transport(NamedTuple):
    """A way to move tokens: SMs that it is given by default, and whether it needs any.

    `in_network`: switches copy and add up. Not `aggregated`: every GPU of another node gets its copy from the sender over RDMA.
    `fused`: dispatch, experts and combine are one kernel, which hides an all-to-all under the MLP of its own op, too.
    """

    name: str
    sms: int
    needs_sms: bool
    what: str
    in_network: bool = False
    aggregated: bool = True
    fused: bool = False


TRANSPORTS = {
    one.name: one
    for one in (
        Transport("sms", 20, True, "kernels on reserved SMs: DeepSeek-V3, DeepEP V1"),
        Transport("few-sms", 8, True, "the same with bulk copies on few SMs: HybridEP, DeepEP V2"),
        Transport(
            "low-latency",
            0,
            False,
            "kernels that hand over to the network card and leave their SMs: DeepEP's low-latency mode, sender to each GPU",
            aggregated=False,
        ),
        Transport(
            "copy-engine",
            0,
            False,
            "copies without SMs, or a co-processor as the V3 report asks for (section 3.5.1)",
        ),
        Transport(
            "in-network",
            0,
            False,
            "the same, and switches that copy and add up (multicast, SHARP): one of both directions carries a token once",
            in_network=True,
        ),
        Transport(
            "fused",
            0,
            False,
            "one kernel of dispatch, experts and combine, cut ever finer and free of charge: a bound that no kernel reaches",
            fused=True,
        ),
    )
}


def find_transport(name: str) -> Transport:
    """By its name.

    >>> find_transport("few").sms
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: a transport is one of sms, few-sms, low-latency, copy-engine, in-network, fused; got 'few'; nearest legal: 'few-sms'
    """
    if name in TRANSPORTS:
        return TRANSPORTS[name]
    nearest = (get_close_matches(name, TRANSPORTS, n=1, cutoff=0) or ["sms"])[0]
    raise InputError(
        f"a transport is one of {', '.join(TRANSPORTS)}", shortened(name), repr(nearest)
    )


# GB/s of HybridEP over that of the SMs that suffice (README, H100, 64 ranks): one fixed form, with its knee a constant.
_AT_HALF = 37.5 / 46.6


def share_of_rdma(sms: float, knee: float) -> float:
    """What so many SMs reach of the network card.

    >>> [round(share_of_rdma(count, 8), 2) for count in (2, 4, 6, 8, 20)]
    [0.4, 0.8, 0.9, 1.0, 1.0]
    """
    half = knee / 2
    if sms <= half:
        return _AT_HALF * sms / half
    return min(1.0, _AT_HALF + (1 - _AT_HALF) * (sms - half) / half)


@dataclass(frozen=True)
class AllToAll:
    """Dispatch and combine of `tokens` tokens of one GPU among `expert_ranks` GPUs."""

    device: Device
    kernels: Kernels
    grid: ExpertGrid
    tokens: int
    hidden: int
    narrow: int
    transport: Transport
    sms: int

    def __post_init__(self) -> None:
        if self.transport.needs_sms:
            require_int("sms", self.sms, 1)

    @property
    def spread(self) -> Spread:
        return expected_spread(self.grid)

    @property
    def copies(self) -> Copies:
        """How often a token crosses each link."""
        return copies(self.grid, self.spread, aggregated=self.transport.aggregated)

    @property
    def links(self) -> Links:
        """GB/s that are reached."""
        kernels, device = self.kernels, self.device
        rdma = device.rdma * kernels["rdma_share"]
        if not self.transport.needs_sms:
            return Links(rdma, device.nvlink)
        reached = share_of_rdma(self.sms, kernels["sms_of_full_rdma"])
        return Links(rdma * reached, min(device.nvlink, self.sms * kernels["nvlink_of_an_sm"]))

    def dispatch(self, *, beside: bool = False) -> int:
        """Nanoseconds; `beside` computation it may take longer."""
        message = dispatch_bytes(self.hidden, self.grid.experts_per_token, self.narrow)
        return self._time(message, beside)

    def combine(self, *, beside: bool = False) -> int:
        """Nanoseconds, in bf16."""
        message = combine_bytes(self.hidden, self.grid.experts_per_token, 2)
        return self._time(message, beside)

    @property
    def directions(self) -> tuple[Number, Number]:
        """How often a token crosses the RDMA link of its own GPU, and of those that it visits together.

        A switch that copies spares the first in a dispatch, one that adds up in a combine. Each GPU is at both ends, and a
        link works in both directions at once, so the larger one counts: a balanced all-to-all becomes no shorter.
        """
        crossings = self.copies.rdma
        return (min(1, crossings) if self.transport.in_network else crossings), crossings

    def _time(self, message: int, beside: bool) -> int:
        if self.grid.gpus == 1:
            return 0
        crossing = Copies(max(self.directions), self.copies.nvlink)
        slower = self.kernels["slowed_all_to_all"] if beside else 1
        return round(float(volume(crossing, self.tokens, message, self.links).ms) * 1e6 * slower)
