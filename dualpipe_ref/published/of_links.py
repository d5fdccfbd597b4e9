"""Claims about experts, links and buffers: how far tokens spread, what a bandwidth counts, how large a ring must be."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from dualpipe_ref.comm.protocol import Combine, Dispatch, Routes, Sizes, explore, handle_of, run
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.published.claim import Claim, at
from dualpipe_ref.published.spread import grid_of, reached
from dualpipe_ref.simulate.buffers import queue_bytes
from dualpipe_ref.simulate.cluster.constants import Kernels
from dualpipe_ref.simulate.cluster.device import DEVICES
from dualpipe_ref.simulate.cluster.profile import published as trace
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.shapes import DEEPSEEK_V3
from dualpipe_ref.simulate.volumes import (
    Copies,
    ExpertGrid,
    Links,
    combine_bytes,
    copies,
    dispatch_bytes,
    expected_spread,
    volume,
)

_V3 = "DeepSeek-V3 report, arXiv:2412.19437"
_DEEPEP = "DeepEP README, H800 with 400 Gb/s, table of normal kernels"
_TOKENS = 4096  # of a GPU in DeepEP's table; taken for DeepSeek's trace too, which does not say
_V3_GRID = {"nodes": 8, "gpus": 8, "experts": 256, "k": 8, "limit": 4}
_SMALL_GRID = {"nodes": 2, "gpus": 2, "experts": 8, "k": 3, "limit": 2}
_GB, _MB = 10**9, 10**6


def _spread_claim(what: str, number: str, with_gate: str) -> Claim:
    return Claim(
        name=f"a token reaches {number} {what}",
        group="experts and links",
        source="this book's count for V3's shape (report, section 4.2: 8 of 256 experts, at most 4 of 8 nodes)",
        says=f"{number} {what}, by counting combinations",
        domain="nodes and experts drawn evenly",
        corrected=f"V3's gate takes the nodes with the best experts: about {with_gate}, and bytes in proportion",
        tier="browser: every choice counted; the gate: 1,000 tokens, drawn scores",
        pages=("ch07_experts", "ch14_crossing_nodes"),
        published=lambda gate, **shape: getattr(expected_spread(grid_of(**shape)), what.lower()),
        true=lambda gate, **shape: reached(gate, what, **shape),
        holds=lambda gate, **shape: gate == "drawn",
        outside=at(gate="V3's", **_V3_GRID),
        inside={"gate": "drawn", **_SMALL_GRID},
        unit=what,
    )


def _free_gpus(nodes: int, gpus: int) -> Number:
    """GPUs a node at which NVLink takes as long as RDMA, from the volumes of one."""
    grid = ExpertGrid(nodes, gpus, nodes * gpus, 1, 1)
    one = volume(copies(grid, expected_spread(grid)), _TOKENS, 16, Links())
    return Fraction(one.rdma_ms) / Fraction(one.nvlink_ms)


def _free_experts(gpus: str) -> int:
    """The most experts of V3's grid for which NVLink takes no longer than RDMA."""
    found = 0
    for k in range(1, 33):
        grid = ExpertGrid(experts_per_token=k)
        crossing = copies(grid, expected_spread(grid))
        if gpus == "each its own":
            crossing = Copies(4 * Fraction(7, 8), k * Fraction(7, 8))
        cost = volume(crossing, _TOKENS, dispatch_bytes(7168, k, 1), Links())
        found = k if cost.nvlink_ms <= cost.rdma_ms else found
    return found


def _ring_mb(ring: int) -> float:
    held = queue_bytes(ExpertGrid(), 10, ring, 288, dispatch_bytes(7168, 8, 1), stages_own=True)
    return held.rdma / _MB


def _rate_in_trace(kernel: str) -> float:
    """GB/s over RDMA of the trace's kernels, if a GPU sends `_TOKENS` tokens to 3.5 other nodes."""
    size = dispatch_bytes(7168, 8, 1) if kernel == "dispatch" else combine_bytes(7168, 8, 2)
    seconds: float = trace()["kernels"][kernel]["mean_ms"] / 1000
    return _TOKENS * size * 3.5 / seconds / _GB


def _rate_in_table(kernel: str) -> Number:
    return Fraction(51 if kernel == "dispatch" else 50) * Fraction(7, 8)


def _parameters(model: str) -> int:
    main = DEEPSEEK_V3.parameters.total
    return main if model == "main" else main + DEEPSEEK_V3.predicting.total


@cache
def _least_sub_ring(chunk: int, warps: int) -> int:
    """The least sub-ring for which every schedule of a small combine ends right."""
    tokens = (((0, 1), (0,), (0, 1), (1,), (0, 1)), ())
    routes = Routes(Topology(1, 2), 2, tokens)
    for slots in range(1, chunk + warps + 1):
        sizes = Sizes(1, 1, 1, 2 * warps, warps, 4, chunk, slots, warps, 1, 1, _breaks_rules=True)
        wide = Sizes(1, 1, 1, 2 * warps, warps, 4, chunk, 9, warps, 1, 1)
        dispatch = Dispatch(routes, wide)
        records = run(dispatch.world, 0).records
        assert records is not None, "a dispatch by the rules ends"
        handle = handle_of(dispatch, records)
        if slots >= chunk and explore(Combine(routes, sizes, handle).world).is_right:
            return slots
    raise AssertionError("no sub-ring is large enough")


LINK_CLAIMS = (
    _spread_claim("nodes", "3.63", "3.95"),
    _spread_claim("GPUs", "7.36", "7.49"),
    Claim(
        name="NVLink carries 3.2 times what RDMA does",
        group="experts and links",
        source=f"{_V3}, section 3.2.2: 160 and 50 GB/s",
        says="3.2",
        domain="H800, whose NVLink is cut to 200 GB/s",
        corrected="320 of 450 GB/s are reached on H100 and H200, 726 on B200: 6.4 and 14.5 times a 400 Gb/s card",
        tier="published numbers, not measured here",
        pages=("ch07_experts", "ch14_crossing_nodes"),
        published=lambda device: Fraction(16, 5),
        true=lambda device: Fraction(DEVICES[device].nvlink) / Fraction(DEVICES[device].rdma),
        holds=lambda device: device == "H800",
        outside=at(device="H100"),
        inside={"device": "H800"},
        unit="x",
    ),
    Claim(
        name="3.2 experts a node at no further cost",
        group="experts and links",
        source=f"{_V3}, section 3.2.2",
        says="160/50 copies in each node while RDMA brings one",
        domain="GPUs, not experts; as many nodes as GPUs in one (8 and 8)",
        corrected="3.2 (1 - 1/N) / (1 - 1/L) GPUs in each of N nodes of L",
        tier="browser, exact arithmetic",
        pages=("ch07_experts",),
        published=lambda nodes, gpus: Fraction(16, 5),
        true=_free_gpus,
        holds=lambda nodes, gpus: nodes == gpus,
        outside=at(nodes=4, gpus=8),
        inside={"nodes": 8, "gpus": 8},
        unit="GPUs a node",
    ),
    Claim(
        name="13 experts for the cost of 8",
        group="experts and links",
        source=f"{_V3}, section 3.2.2: 4 nodes x 3.2 experts",
        says="13 experts",
        domain="none: 12.8 rounded up",
        corrected="14 if drawn, since two experts of one GPU need one copy; 12 if each has a GPU of its own; RDMA 8 % more, computation 13/8",
        tier="browser, exact arithmetic",
        pages=("ch07_experts",),
        published=lambda gpus: 13,
        true=_free_experts,
        holds=lambda gpus: False,
        outside=at(gpus="drawn"),
        unit="experts",
    ),
    Claim(
        name="memory of the RDMA rings",
        group="experts and links",
        source="DeepEP, csrc/legacy/config.hpp (dd758ca): the ring is rounded up to whole chunks",
        says="2 x nodes x slots x message a channel: 153 MB for 128 slots, 10 channels, 64 GPUs, FP8",
        domain="the chunk divides the slots that were asked for",
        corrected="slots rounded up to a multiple of the chunk",
        tier="browser, counted; rounding read in the source",
        pages=("ch14_crossing_nodes",),
        published=lambda ring, chunk: _ring_mb(ring),
        true=lambda ring, chunk: _ring_mb(-(-ring // chunk) * chunk),
        holds=lambda ring, chunk: ring % chunk == 0,
        outside=at(ring=128, chunk=20),
        inside={"ring": 128, "chunk": 8},
        unit="MB",
    ),
    Claim(
        name="the least sub-ring of combine",
        group="experts and links",
        source="DeepEP, csrc/kernels/legacy/internode.cu: an assert of combine",
        says="chunk + W slots for W warps that reduce together; this project's own rule asks for chunk + W - 1",
        domain="none that was tried: two slots are to spare",
        corrected="chunk + W - 2 is enough in every schedule, one less deadlocks; both rules may stay, a slot costs little",
        tier="browser, every schedule of a small combine",
        pages=("ch14_crossing_nodes", "log"),
        published=lambda chunk, warps: chunk + warps,
        true=_least_sub_ring,
        holds=lambda chunk, warps: False,
        outside=at(chunk=2, warps=2),
        unit="slots",
    ),
    Claim(
        name="58 GB/s over a card of 50",
        group="experts and links",
        source=f"{_DEEPEP}: 32 GPUs, dispatch",
        says="58 GB/s over RDMA",
        domain="as a rate of the algorithm, in which copies to the own node count",
        corrected="1 - 1/N of it crosses the card: 43.5 GB/s with 4 nodes, 44.6 of the 51 with 8",
        tier="published numbers; the share is counted",
        pages=("ch14_crossing_nodes",),
        published=lambda rate, nodes, counted: rate,
        true=lambda rate, nodes, counted: (
            rate if counted == "all copies" else rate * Fraction(nodes - 1, nodes)
        ),
        holds=lambda rate, nodes, counted: counted == "all copies",
        outside=at(rate=58, nodes=4, counted="the card's"),
        inside={"rate": 58, "nodes": 4, "counted": "all copies"},
        unit="GB/s",
    ),
    Claim(
        name="DeepEP's table, beside computation",
        group="experts and links",
        source=f"{_DEEPEP}: 64 GPUs, 51 and 50 GB/s, 7/8 of it over RDMA",
        says="44.6 GB/s in dispatch, 43.8 in combine",
        domain="nothing else runs on the GPU",
        corrected="DeepSeek's own trace of overlapped kernels: about 25 and 33 GB/s, if it had 4,096 tokens a GPU",
        tier="published trace and table, not measured here",
        pages=("ch14_crossing_nodes",),
        published=lambda kernel, beside: _rate_in_table(kernel),
        true=lambda kernel, beside: (
            _rate_in_trace(kernel) if beside == "computation" else _rate_in_table(kernel)
        ),
        holds=lambda kernel, beside: beside == "nothing",
        outside=at(kernel="dispatch", beside="computation"),
        inside={"kernel": "dispatch", "beside": "nothing"},
        unit="GB/s",
    ),
    Claim(
        name="20 SMs to fill both networks",
        group="experts and links",
        source=f"{_V3}, section 3.2.2",
        says="20 SMs",
        domain="DeepEP's first kernels, which load and store, on an H800",
        corrected="8 SMs fill RDMA with kernels that copy by TMA (HybridEP, H100, 64 GPUs)",
        tier="published numbers, not measured here",
        pages=("ch01_waiting", "ch07_experts", "ch12_borrowed_sms"),
        published=lambda kernels: trace()["communication_grid"],
        true=lambda kernels: (
            Kernels()["sms_of_full_rdma"]
            if kernels == "HybridEP"
            else trace()["communication_grid"]
        ),
        holds=lambda kernels: kernels == "DeepSeek's",
        outside=at(kernels="HybridEP"),
        inside={"kernels": "DeepSeek's"},
        unit="SMs",
    ),
    Claim(
        name="671 billion parameters",
        group="experts and links",
        source=f"{_V3}, section 4.2",
        says="671 billion",
        domain="the main model; rounded to billions",
        corrected="with the layer that predicts a second token 682.6 billion are trained, sharing embedding and head",
        tier="browser, counted from the shapes",
        pages=("ch01_waiting", "ch11_memory"),
        published=lambda model: 671 * 10**9,
        true=_parameters,
        holds=lambda model: model == "main",
        outside=at(model="with multi-token prediction"),
        inside={"model": "main"},
        within=0.5 / 671,
    ),
)
