"""What one chunk keeps where layers are computed as in large runs, and DeepSeek-V3's own deployment. A model: nobody has measured it here.

Attention keeps one statistic a head and token in place of probabilities; the MLP of an expert keeps what goes into its
activation and makes the rest again; tokens lie in the order of their experts (DeepSeek-V3 report, arXiv:2412.19437, sections
3.2.3 and 3.3.3). Inputs of matrix products may be cached in fewer bytes than other numbers: `Batch.cached`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dualpipe_ref.schedule.ir import Placement
from dualpipe_ref.simulate.chunk_bytes import Batch, ChunkBytes, Kinds, check_policy
from dualpipe_ref.simulate.deployment import V3_PRECISION, Precision, Sharing, stage_bytes
from dualpipe_ref.simulate.footprint import StageBytes
from dualpipe_ref.simulate.shapes import DEEPSEEK_V3, ModelShape, Parameters, layers_of_stages

# One sequence of 4,096 tokens in bf16, inputs of matrix products cached in fp8 (same report, sections 3.3.3 and 4.2).
V3_BATCH = Batch(1, 4096, bytes=2, cached=1, expert_ranks=64)
WIDE = 4  # bytes of a number that is kept in float32: scores of the router, statistics, logits


def fused_chunk(
    shape: ModelShape,
    batch: Batch,
    stage: int,
    stages: int,
    *,
    policy: str = "none",
    layers: Sequence[int] | None = None,
) -> ChunkBytes:
    """One micro-batch in one stage; `layers` are the stage's, if they are not shared out evenly.

    W waits with the inputs of its matrix products and the gradients of their outputs, both as they are cached.

    >>> for policy in ("none", "up-projections", "full"):
    ...     print(fused_chunk(DEEPSEEK_V3, V3_BATCH, 1, 16, policy=policy).total)
    5062000640
    2646081536
    1409286144
    """
    check_policy(policy)
    kinds, waits = Counter[str](), Counter[str]()
    if layers is None:
        layers = layers_of_stages(shape.layers, stages)[stage]
    for layer in layers:
        kinds += _layer(shape, batch, layer < shape.dense_layers, policy)
        waits["inputs of products"] += _inputs(shape, batch, layer < shape.dense_layers)
        waits["arrived gradients"] += _gradients(shape, batch, layer < shape.dense_layers)
    row = batch.all_tokens * shape.hidden * batch.bytes
    logits = batch.all_tokens * shape.vocabulary * WIDE if stage == stages - 1 else 0
    if logits:
        kinds += Counter({"logits": logits, "layer input": row})
        waits["logits"] += logits
    remade = 0
    if policy != "none":
        remade = max(
            sum(
                (_layer(shape, batch, dense, "none") - _layer(shape, batch, dense, policy)).values()
            )
            for dense in {n < shape.dense_layers for n in layers} or {True}
        )
    beside = {"F": 4 * row, "B": 4 * row + logits, "W": 2 * row}
    return ChunkBytes(kinds, waits, row, remade, beside)


def _layer(shape: ModelShape, batch: Batch, is_dense: bool, policy: str) -> Kinds:
    each, size = batch.all_tokens, batch.bytes
    narrow = batch.cached or size
    row = each * shape.hidden
    kinds = Counter({"layer input": row * size, "residual": row * size})
    pairs = each * shape.experts_per_token
    if policy == "full":  # what the all-to-all brought stays
        if not is_dense:
            kinds["dispatched tokens"] = pairs * shape.hidden * narrow
        return kinds
    source = shape.query_latent or 0
    latents = shape.key_value_latent + shape.rope + source
    kinds["latents"] = each * latents * size
    kinds["attention output"] = each * shape.heads * (shape.value * size + WIDE)
    if policy != "up-projections":
        kinds["queries, keys, values"] = each * shape.queries_keys_values * size
    if policy == "none":
        kinds["norms"] = (2 * row + each * (shape.key_value_latent + source)) * narrow
    if is_dense:
        kinds["dense MLP"] = 2 * each * shape.dense_hidden * narrow
        return kinds
    kinds["router"] = each * (shape.experts * WIDE + shape.experts_per_token * (8 + WIDE))
    kinds["dispatched tokens"] = pairs * shape.hidden * narrow
    kinds["expert hidden"] = 2 * pairs * shape.expert_hidden * narrow
    kinds["shared expert"] = 2 * each * shape.shared_experts * shape.expert_hidden * narrow
    return kinds


def _inputs(shape: ModelShape, batch: Batch, is_dense: bool) -> int:
    """Bytes of what goes into all matrix products with weights."""
    a_token = shape.hidden + sum(inner for inner, _ in shape.attention_products)
    if is_dense:
        a_token += shape.dense_hidden
    else:
        a_token += shape.shared_experts * shape.expert_hidden
        a_token += shape.experts_per_token * (shape.hidden + shape.expert_hidden)
    return batch.all_tokens * a_token * (batch.cached or batch.bytes)


def _gradients(shape: ModelShape, batch: Batch, is_dense: bool) -> int:
    """Bytes of the gradients of what comes out of them."""
    a_token = sum(outer for _, outer in shape.attention_products)
    if is_dense:
        a_token += 2 * shape.dense_hidden + shape.hidden
    else:
        each = 2 * shape.expert_hidden + shape.hidden
        a_token += shape.experts + (shape.shared_experts + shape.experts_per_token) * each
    return batch.all_tokens * a_token * (batch.cached or batch.bytes)


@dataclass(frozen=True)
class Deployment:
    """A model on ranks: 16 pipeline ranks, 64 that share experts and 2 copies are DeepSeek-V3's 2048 GPUs.

    `predicting`: where multi-token prediction lies with the last stage, and whether it "shares" embedding and head with a stage
    on its rank or has "copies" of both (None: it is left out).
    """

    shape: ModelShape = DEEPSEEK_V3
    batch: Batch = V3_BATCH
    precision: Precision = V3_PRECISION
    expert_ranks: int = 64
    data_ranks: int = 2
    policy: str = "up-projections"
    predicting: str | None = None

    def stages(self, placement: Placement) -> list[StageBytes]:
        """The bytes of each stage on one rank of this placement.

        >>> from dualpipe_ref.schedule import build
        >>> stage = Deployment().stages(build("1f1b", 16, 32).placement)[1]
        >>> stage.parameters
        3273261056
        """
        count = placement.stages
        sharing = Sharing(self.expert_ranks, self.data_ranks, placement.directions)
        made = []
        for stage in range(count):
            parameters = self.shape.stage(stage, count)
            if stage == count - 1 and self.predicting:
                parameters = parameters.plus(self._predicting())
            chunk = fused_chunk(self.shape, self.batch, stage, count, policy=self.policy)
            made.append(stage_bytes(parameters, chunk, self.precision, sharing))
        return made

    def _predicting(self) -> Parameters:
        own = self.shape.predicting
        copies = 2 * self.shape.embedding if self.predicting == "copies" else 0
        return own.plus(Parameters(copies, 0))

    def average(self, placement: Placement, rank: int) -> int:
        """Bytes on the host of an exponential moving average in float32 of what a rank holds, each parameter once."""
        seen = {stage for _, stage in placement.homes[rank]}
        sharing = Sharing(self.expert_ranks, self.data_ranks, placement.directions)
        count = placement.stages
        return round(4 * sum(sharing.held(self.shape.stage(stage, count)) for stage in seen))
