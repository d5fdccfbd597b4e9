"""What one chunk keeps in memory, by kind: from the sizes of a model to bytes, in exact integers.

`eager_chunk` is this package's own model on a CPU, op by op as autograd keeps it: what a forward keeps is exact, and tests
compare it with what torch holds. `fused_bytes` has layers as large runs compute them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.simulate.shapes import ModelShape, layers_of_stages

POLICIES = ("none", "norms", "up-projections", "full")
Kinds = Counter[str]


@dataclass(frozen=True)
class ChunkBytes:
    """Bytes of one micro-batch in one stage, by kind.

    `kept_by_forward` is there from the start of F to the end of I, or of B; `kept_for_weights` from there to the end of W.
    `message` is what goes to the next stage, and its gradient; `remade` what a backward makes again and holds while it runs;
    `workspace` what an op needs beside, by its kind.

    >>> chunk = ChunkBytes({"layer input": 4, "norms": 8}, {"layer input": 4})
    >>> chunk.total, chunk.pending
    (12, 4)
    """

    kept_by_forward: Mapping[str, int]
    kept_for_weights: Mapping[str, int] = field(default_factory=dict)
    message: int = 0
    remade: int = 0
    workspace: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All that the forward keeps."""
        return sum(self.kept_by_forward.values())

    @property
    def pending(self) -> int:
        """All that W waits with."""
        return sum(self.kept_for_weights.values())


@dataclass(frozen=True)
class Batch:
    """A micro-batch and its numbers: `sequences` (B) of `tokens` (S), `bytes` of a number, `cached` of one that waits for
    the backward as input of a matrix product (None: the same), and `expert_ranks` that share the experts."""

    sequences: int
    tokens: int
    bytes: int = 4
    cached: int | None = None
    expert_ranks: int = 1

    def __post_init__(self) -> None:
        for name in ("sequences", "tokens", "bytes", "expert_ranks"):
            require_int(name, getattr(self, name), 1)

    @property
    def all_tokens(self) -> int:
        """T."""
        return self.sequences * self.tokens


def check_policy(policy: str) -> str:
    """Return `policy`, or raise `InputError`.

    >>> check_policy("norm")
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: recompute is one of none, norms, up-projections, full; got 'norm'; nearest legal: 'norms'
    """
    if policy not in POLICIES:
        raise InputError(f"recompute is one of {', '.join(POLICIES)}", repr(policy), "'norms'")
    return policy


def eager_chunk(
    shape: ModelShape,
    batch: Batch,
    stage: int,
    stages: int,
    *,
    policy: str = "none",
    is_cut: bool = False,
) -> ChunkBytes:
    """A chunk of `dualpipe_ref.model` on a CPU, one process with all experts.

    `is_cut`: it is run part by part, as an I or an overlapped pair need it, and keeps what goes from part to part. What the forward
    keeps is exact; what W waits with and the workspace are a little more than torch holds, since some of it is one tensor.
    """
    check_policy(policy)
    layers = layers_of_stages(shape.layers, stages)[stage]
    kinds = sum((_eager_layer(shape, batch, n, policy, is_cut) for n in layers), Kinds())
    sent = batch.all_tokens * shape.hidden * batch.bytes
    if stage == stages - 1:
        kinds += _eager_loss(shape, batch)
    else:
        kinds["output"] += sent
    if not is_cut:  # W is a whole backward then
        waits = kinds + Counter({"arrived gradients": sent})
    else:
        waits = sum((_waits(shape, batch, n, policy) for n in layers), Kinds())
        if stage == stages - 1:
            waits += _eager_loss(shape, batch) + Counter({"arrived gradients": sent})
    part = max(_part(shape, batch, n) for n in layers) if policy == "full" else 0
    beside = _workspace(shape, batch, policy, is_cut=is_cut, is_last=stage == stages - 1)
    if is_cut:  # the graph stays while gradients arrive
        beside["B"] += max(0, waits.total() - kinds.total())
        part = 0
    return ChunkBytes(+kinds, +waits, sent, part, beside)


def _waits(shape: ModelShape, batch: Batch, layer: int, policy: str) -> Kinds:
    """The inputs of all matrix products and what autograd's graph holds below them, and the gradients of their outputs."""
    is_dense = layer < shape.dense_layers
    graph = "none" if policy == "full" else policy  # I has made it again
    kinds = _eager_layer(shape, batch, layer, graph, is_cut=True)
    for kind in ("expert outputs", "between parts", "dispatched tokens", "router"):
        del kinds[kind]
    each, hidden, latent = batch.all_tokens, shape.hidden, shape.key_value_latent
    grown = shape.heads * (2 * shape.nope + shape.rope + shape.value)
    arrived = (
        (5 if policy == "full" else 4) * hidden
        + grown
        + 2 * latent
        + shape.rope
        + 2 * (shape.query_latent or 0)
    )
    if is_dense:
        arrived += 2 * shape.dense_hidden + hidden
    else:
        of_experts = shape.shared_experts + shape.experts_per_token
        arrived += shape.experts + of_experts * (2 * shape.expert_hidden + hidden)
    kinds["arrived gradients"] = each * arrived * batch.bytes
    return kinds


def _part(shape: ModelShape, batch: Batch, layer: int) -> int:
    """The larger of the two computations of a layer, when it has been made again."""
    attention = sum(_eager_attention(shape, batch, "none").values())
    if layer < shape.dense_layers:
        return max(attention, sum(_eager_dense(shape, batch, "none").values()))
    return max(attention, sum(_eager_experts(shape, batch).values()))


def _workspace(
    shape: ModelShape, batch: Batch, policy: str, *, is_cut: bool, is_last: bool
) -> dict[str, int]:
    """What lives within one op, where it is highest: a few rows, scores and their gradient, logits and theirs."""
    size, row = batch.bytes, batch.all_tokens * shape.hidden * batch.bytes
    scores = batch.sequences * shape.heads * batch.tokens**2 * size
    logits = batch.all_tokens * shape.vocabulary * size if is_last else 0
    forward, back = max(4 * row, logits), max(row, 2 * logits)
    if policy == "full":  # nothing of a computation is kept, so all of it comes and goes
        grown = shape.heads * (2 * shape.nope + 2 * shape.rope + shape.value)
        forward, back = 2 * scores + batch.all_tokens * grown * size, scores + 2 * row
    if is_cut:  # what autograd would let go stays for W
        back = scores + 3 * row
    return {"F": forward, "B": back, "W": row}


def _eager_layer(shape: ModelShape, batch: Batch, layer: int, policy: str, is_cut: bool) -> Kinds:
    is_dense = layer < shape.dense_layers
    whole, size = batch.all_tokens * shape.hidden * batch.bytes, batch.bytes
    kinds = Counter({"layer input": whole})
    if policy != "full":
        kinds += _eager_attention(shape, batch, policy)
    if is_dense:
        return kinds + _eager_dense(shape, batch, policy)
    kinds += _routed(shape, batch, is_cut, policy == "full")
    kinds["residual"] = whole
    if policy == "full":
        kinds["norms"] += whole  # the tokens, which the shared expert and the dispatch take
        return kinds
    kinds["norms"] += _norm(batch, shape.hidden, "none")
    if policy != "none":  # the tokens stay where the shared expert, or the next part, takes them
        kinds["norms"] -= whole if is_cut or shape.shared_experts else 2 * whole
    # Scores before and after they are kept above 0, those of the chosen experts, and their sum.
    kinds["router"] += batch.all_tokens * (2 * shape.experts + shape.experts_per_token + 1) * size
    if is_cut:
        kinds["router"] += batch.all_tokens * shape.experts_per_token * size  # the weights
        kinds["between parts"] = batch.all_tokens * shape.hidden * size
        kinds["between parts"] += (
            whole if shape.shared_experts else 0
        )  # the residual with its output
    kinds += _eager_experts(shape, batch)
    return kinds


def _eager_attention(shape: ModelShape, batch: Batch, policy: str) -> Kinds:
    each, size, heads = batch.all_tokens, batch.bytes, shape.heads
    latent, source = shape.key_value_latent, shape.query_latent or 0
    norms = _norm(batch, shape.hidden, policy) + _norm(batch, latent, policy)
    if source:
        norms += _norm(batch, source, policy)
    query = each * heads * (shape.nope + shape.rope) * size
    key_and_value = query + each * heads * shape.value * size
    if policy == "up-projections":
        query, key_and_value = (0 if source else query), 0
    return Counter(
        {
            "norms": norms,
            "latents": each * (latent + shape.rope + source) * size,
            "queries, keys, values": query + key_and_value,
            "rotary": 2 * batch.tokens * shape.rope * size,
            "probabilities": batch.sequences * heads * batch.tokens**2 * size,
            "attention output": each * heads * shape.value * size,
        }
    )


def _norm(batch: Batch, size: int, policy: str) -> int:
    """The inverse root mean square of each token in float32, the numbers before the scale, and after it."""
    kept = 2 * size * batch.bytes if policy == "none" else 0
    return batch.all_tokens * (max(4, batch.bytes) + kept)


def _eager_dense(shape: ModelShape, batch: Batch, policy: str) -> Kinds:
    whole = batch.all_tokens * shape.hidden * batch.bytes
    if policy == "full":
        return Counter({"residual": whole})
    return Counter(
        {
            "residual": whole,
            "norms": _norm(batch, shape.hidden, policy),
            "dense MLP": 4 * batch.all_tokens * shape.dense_hidden * batch.bytes,
        }
    )


def _routed(shape: ModelShape, batch: Batch, is_cut: bool, is_remade: bool) -> Kinds:
    """What the all-to-all itself keeps: who goes where, and, where parts are cut, what came."""
    each, chosen, rows = batch.all_tokens, shape.experts_per_token, batch.all_tokens
    # The chosen experts of a token; who needs it; each row's place.
    plan = each * (8 * chosen + batch.expert_ranks + 1) + 8 * batch.expert_ranks + 16 * rows
    kinds = Counter({"router": plan})
    if is_cut or is_remade:
        kinds["dispatched tokens"] = rows * shape.hidden * batch.bytes
        kinds["router"] += rows * chosen * (8 + batch.bytes)
    if not is_cut:
        kinds["router"] += rows * chosen  # which of a row's experts are here
    return kinds


def _eager_experts(shape: ModelShape, batch: Batch) -> Kinds:
    size, each = batch.bytes, batch.all_tokens
    pairs = (
        each * shape.experts_per_token
    )  # of a token and an expert; on average also where experts are shared
    inner = 4 * shape.expert_hidden * size  # gate, its activation, up, and their product
    return Counter(
        {
            "expert inputs": pairs * (shape.hidden * size + 16),
            "expert hidden": pairs * inner,
            "expert outputs": pairs
            * (2 * shape.hidden + 1)
            * size,  # before and after their weight
            "shared expert": each * shape.shared_experts * inner,
        }
    )


def _eager_loss(shape: ModelShape, batch: Batch) -> Kinds:
    whole = batch.all_tokens * shape.hidden * batch.bytes
    return Counter(
        {
            "layer input": whole,
            "norms": _norm(batch, shape.hidden, "none"),
            "logits": batch.all_tokens * shape.vocabulary * batch.bytes,
            "loss": 2 * batch.bytes,
        }
    )


def as_dict(kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Kinds that there are, the largest first."""
    return dict(sorted(((k, v) for k, v in kinds.items() if v), key=lambda pair: -pair[1]))
