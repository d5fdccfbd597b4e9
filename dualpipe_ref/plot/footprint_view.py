"""The live view of memory: what ranks of a large model hold at their peaks, beside what a device has. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dualpipe_ref.plot.bars import bar_colours
from dualpipe_ref.plot.controls import Control, completed, number, select, slider
from dualpipe_ref.plot.exact import exact_number, whole_number
from dualpipe_ref.plot.footprint_data import GB, GROUPS, fills, groups_of
from dualpipe_ref.plot.palette import palette
from dualpipe_ref.schedule import build
from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.kinds import check_kind
from dualpipe_ref.simulate import simulate
from dualpipe_ref.simulate.chunk_bytes import POLICIES, check_policy
from dualpipe_ref.simulate.footprint import Footprint, Level, footprint
from dualpipe_ref.simulate.fused_bytes import Deployment

KINDS = ("1f1b", "zb-h1", "zb-v", "dualpipe", "dualpipev")
MOST_RANKS, MOST_MICROBATCHES = 16, 128
DEFAULTS: dict[str, Any] = {
    "kind": "dualpipe",
    "ranks": 16,
    "microbatches": 32,
    "policy": "up-projections",
    "moments": "2",
    "expert_ranks": "64",
    "device": 80,
}
# What an InputError calls the parts of this state.
NAMES = {"P": "ranks", "m": "microbatches", "device": "device"}


def answer(state: Mapping[str, Any]) -> dict[str, Any]:
    """Bars of the device and of some ranks, facts and a sentence, with colours; `InputError` for a state that has none."""
    given = completed(state, DEFAULTS)
    device = exact_number("device", given["device"])
    if device <= 0:
        raise InputError("a device has memory", f"device = {device}", "device = 80")
    deployment, found, host = _found(given)
    peak = found.peaks[found.worst]
    spare = "which fits" if peak.total <= device * GB else "which does not fit"
    return {
        "sentence": f"Rank {found.worst} needs most, {_gb(peak.total)} GB of {float(device):g}: {spare}.",
        "bars": [_device(device), *(_bar(found, rank) for rank in _shown(found))],
        "facts": _facts(found, peak, deployment.policy, host),
        "palettes": {name: _colours(name) for name in ("light", "dark")},
    }


def _found(given: Mapping[str, Any]) -> tuple[Deployment, Footprint, int]:
    kind = check_kind(given["kind"])
    ranks = whole_number("P", given["ranks"], 2, MOST_RANKS)
    microbatches = whole_number("m", given["microbatches"], 1, MOST_MICROBATCHES)
    schedule = build(kind, ranks, microbatches)
    shared = whole_number("expert_ranks", given["expert_ranks"], 1)
    plain = Deployment(
        policy=check_policy(given["policy"]), expert_ranks=shared, data_ranks=max(1, 128 // shared)
    )
    moments = whole_number("moments", given["moments"], 1)
    deployment = replace(plain, precision=replace(plain.precision, moments=moments))
    found = footprint(simulate(schedule), deployment.stages(schedule.placement))
    return deployment, found, deployment.average(schedule.placement, found.worst)


def _shown(found: Footprint) -> list[int]:
    """The ends, the middle, and the one that needs most."""
    last = len(found.peaks) - 1
    return sorted({0, 1, (last + 1) // 2, last, found.worst})


def _device(device: Any) -> dict[str, Any]:
    part = {"label": "memory", "value": float(device), "text": f"{float(device):g} GB"}
    return {"label": "a device", "parts": [part | {"kind": "device"}]}


def _bar(found: Footprint, rank: int) -> dict[str, Any]:
    peak = found.peaks[rank]
    parts = [
        {"label": group, "value": size / GB, "text": f"{_gb(size)} GB", "kind": GROUPS[group]}
        for group, size in groups_of(peak).items()
        if size
    ]
    return {"label": f"rank {rank} at its peak: {_gb(peak.total)} GB", "parts": parts}


def _facts(found: Footprint, peak: Level, policy: str, host: int) -> list[dict[str, str]]:
    least = min(found.peaks, key=lambda level: level.total)
    largest = sorted(
        ((size, kind) for kind, size in peak.kinds.items() if kind not in GROUPS), reverse=True
    )
    words = ", ".join(f"{kind} {_gb(size)} GB" for size, kind in largest[:3])
    return [
        {
            "label": "the rank that needs least",
            "value": f"{_gb(least.total)} GB",
            "note": f"rank {found.peaks.index(least)}",
        },
        {
            "label": "activations of the one that needs most",
            "value": f"{_gb(peak.activations)} GB",
            "note": f"{words}; with recomputation: {policy}",
        },
        {
            "label": "an average of its parameters, kept on the host",
            "value": f"{_gb(host)} GB",
            "note": "in float32, nothing of it on the device",
        },
    ]


def _gb(size: float) -> str:
    return f"{size / GB:.1f}"


def _colours(name: str) -> dict[str, Any]:
    colours = palette(name)  # type: ignore[arg-type]
    chosen = {GROUPS[group]: fill for group, fill in fills(colours).items()}
    return bar_colours(colours, chosen | {"device": colours.idle})


def controls(state: Mapping[str, Any]) -> list[Control]:
    """One control for everything that a reader can change."""
    given = completed(state, DEFAULTS)
    kinds = dict.fromkeys((*KINDS, given["kind"]))
    return [
        select("kind", "Schedule", given["kind"], kinds),
        slider("ranks", "Ranks P", whole_number("P", given["ranks"], 2), (2, MOST_RANKS)),
        slider(
            "microbatches", "Micro-batches m", whole_number("m", given["microbatches"], 1), (1, 64)
        ),
        select("policy", "Made again", given["policy"], POLICIES),
        select("moments", "Bytes of a moment", str(given["moments"]), ["2", "4"]),
        select(
            "expert_ranks",
            "Ranks that share experts",
            str(given["expert_ranks"]),
            ["8", "32", "64"],
        ),
        number("device", "GB of a device", given["device"], 1, 1),
    ]
