"""What each rank of a plan holds at its peak: `footprint` with the plan's own layers, cut by its tensor-parallel ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dualpipe_ref.simulate.chunk_bytes import Batch, ChunkBytes
from dualpipe_ref.simulate.cluster.layout import Layout
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.deployment import Sharing, stage_bytes
from dualpipe_ref.simulate.footprint import Level, StageBytes, peaks
from dualpipe_ref.simulate.fused_bytes import fused_chunk
from dualpipe_ref.simulate.shapes import Parameters
from dualpipe_ref.simulate.timeline import Timeline


def stages_of(layout: Layout) -> list[StageBytes]:
    """The bytes of each stage on one rank."""
    return [_stage(layout, stage) for stage in range(layout.last + 1)]


def parameters_of(layout: Layout, stage: int) -> Parameters:
    """Of all tensor-parallel ranks and all experts; multi-token prediction shares embedding and head."""
    plan, last = layout.plan, layout.last
    shape, total = plan.shape, Parameters(0, 0)
    for layer in layout.layers[stage]:
        total = total.plus(shape.layer(layer))
    ends = shape.embedding * ((stage == 0) + (stage == last))
    total = total.plus(Parameters(ends, 0))
    return total.plus(shape.predicting) if stage == last and plan.predicting else total


def sharing_of(plan: Plan) -> Sharing:
    """Who has what of one stage, seen by one of its tensor-parallel ranks: experts are shared out, all else is cut."""
    side = max(plan.tensor, plan.expert_ranks)
    copies = plan.tensor * plan.data // side
    return Sharing(side, max(1, copies), plan.placement.directions)


def held_of(layout: Layout, stage: int) -> tuple[float, float]:
    """Parameters of one rank: dense ones, cut by tensor-parallel ranks, and experts."""
    plan, own = layout.plan, parameters_of(layout, stage)
    return own.dense / plan.tensor, own.experts / plan.expert_ranks


def _stage(layout: Layout, stage: int) -> StageBytes:
    plan, own = layout.plan, parameters_of(layout, stage)
    cut = Parameters(-(-own.dense // plan.tensor), own.experts)
    tokens = plan.micro * plan.length
    narrow = 1 if plan.precision == "fp8" else None
    batch = Batch(1, tokens, bytes=2, cached=narrow, expert_ranks=max(1, plan.expert_ranks))
    layers = list(layout.layers[stage])
    if stage == layout.last and plan.predicting:
        layers += [plan.shape.layers - 1] * plan.shape.predicting_layers
    count = layout.last + 1
    chunk = fused_chunk(plan.shape, batch, stage, count, policy=plan.policy, layers=layers)
    made = stage_bytes(cut, _cut(chunk, plan.tensor), plan.stored, sharing_of(plan))
    if plan.zero >= 2:
        made = replace(made, gradients=-(-made.gradients // plan.data))
    return made


def _cut(chunk: ChunkBytes, tensor: int) -> ChunkBytes:
    """Each tensor-parallel rank keeps its part of everything (sequence parallelism, arXiv:2205.05198)."""
    if tensor == 1:
        return chunk

    def part(kinds: Mapping[str, int]) -> dict[str, int]:
        return {kind: -(-count // tensor) for kind, count in kinds.items()}

    return ChunkBytes(
        part(chunk.kept_by_forward),
        part(chunk.kept_for_weights),
        -(-chunk.message // tensor),
        -(-chunk.remade // tensor),
        part(chunk.workspace),
    )


def peaks_of(layout: Layout, timeline: Timeline) -> tuple[Level, ...]:
    """The highest level of each rank."""
    return peaks(timeline, stages_of(layout))
