"""How large a model is: parameters by layer and by stage, from its sizes alone. Exact integers, standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError, require_int


class Parameters(NamedTuple):
    """Numbers of parameters: those of routed experts, which expert-parallel ranks share out, and all others."""

    dense: int
    experts: int

    @property
    def total(self) -> int:
        return self.dense + self.experts

    def plus(self, other: Parameters) -> Parameters:
        return Parameters(self.dense + other.dense, self.experts + other.experts)


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a decoder with multi-head latent, or grouped-query, attention and mixture-of-experts layers.

    A head has `nope` numbers without and `rope` with a rotary embedding in its queries and keys, and `value` in its values.
    Without `query_latent` queries grow out of the hidden numbers themselves. The first `dense_layers` layers have an
    ordinary gated MLP of `dense_hidden`. `predicting_layers` are those of multi-token prediction; they count apart.
    With `key_value_heads` attention is grouped-query, without latent vectors: heads of `nope` numbers, all of them rotated.

    >>> DEEPSEEK_V3.parameters.total
    671026404352
    """

    hidden: int
    layers: int
    heads: int
    nope: int
    rope: int
    value: int
    key_value_latent: int
    query_latent: int | None
    experts: int
    experts_per_token: int
    expert_hidden: int
    shared_experts: int
    dense_layers: int
    dense_hidden: int
    vocabulary: int
    predicting_layers: int = 0
    key_value_heads: int | None = None

    @property
    def attention(self) -> int:
        """Parameters of one attention block with the norms of its latent vectors."""
        if self.key_value_heads is not None:
            return sum(inner * outer for inner, outer in self.attention_products)
        wide = self.heads * (self.nope + self.rope)
        latent, source = self.key_value_latent, self.query_latent
        query = self.hidden * wide if source is None else source * (self.hidden + 1 + wide)
        down = self.hidden * (latent + self.rope) + latent
        grown = latent * self.heads * (self.nope + self.value)
        return query + down + grown + self.heads * self.value * self.hidden

    @property
    def attention_products(self) -> tuple[tuple[int, int], ...]:
        """(numbers in, numbers out) of the matrices of an attention block; the first two of latent attention are one product.

        >>> LLAMA_405B.attention_products
        ((16384, 18432), (16384, 16384))
        """
        wide = self.heads * (self.nope + self.rope)
        last = (self.heads * self.value, self.hidden)
        if self.key_value_heads is not None:
            return (self.hidden, wide + self.key_value_heads * (self.nope + self.value)), last
        latent = self.key_value_latent
        grown = (latent, self.heads * (self.nope + self.value))
        if self.query_latent is None:
            return (self.hidden, wide + latent + self.rope), grown, last
        down = (self.hidden, self.query_latent + latent + self.rope)
        return down, (self.query_latent, wide), grown, last

    @property
    def queries_keys_values(self) -> int:
        """Numbers of a token's queries, keys and values as attention reads them."""
        head = self.nope + self.rope
        others = self.heads if self.key_value_heads is None else self.key_value_heads
        return self.heads * head + others * (head + self.value)

    def layer(self, number: int) -> Parameters:
        """Those of a layer, with its two norms."""
        beside = self.attention + 2 * self.hidden
        if number < self.dense_layers:
            return Parameters(beside + 3 * self.hidden * self.dense_hidden, 0)
        expert = 3 * self.hidden * self.expert_hidden
        router = self.experts * self.hidden
        return Parameters(beside + router + self.shared_experts * expert, self.experts * expert)

    @property
    def embedding(self) -> int:
        """Those of the embedding, and as many of the head."""
        return self.vocabulary * self.hidden

    def stage(self, number: int, stages: int) -> Parameters:
        """Those of a stage; the first one has the embedding, the last one the head and its norm."""
        total = Parameters(0, 0)
        for layer in layers_of_stages(self.layers, stages)[number]:
            total = total.plus(self.layer(layer))
        ends = self.embedding * ((number == 0) + (number == stages - 1))
        return total.plus(Parameters(ends + self.hidden * (number == stages - 1), 0))

    @property
    def parameters(self) -> Parameters:
        """Those of the whole model without multi-token prediction."""
        return self.stage(0, 1)

    @property
    def predicting(self) -> Parameters:
        """Those of multi-token prediction: a layer each, a projection of two hidden vectors to one, and three norms.

        Embedding and head are shared with the model (DeepSeek-V3 report, section 2.2).
        """
        one = self.layer(self.layers).plus(Parameters(2 * self.hidden**2 + 3 * self.hidden, 0))
        count = self.predicting_layers
        return Parameters(count * one.dense, count * one.experts)


def layers_of_stages(layers: int, stages: int) -> list[range]:
    """Which layers each stage holds: as even as can be, the longer ones first.

    >>> layers_of_stages(5, 2)
    [range(0, 3), range(3, 5)]
    """
    require_int("stages", stages, 1)
    if layers < stages:
        raise InputError(
            "every stage has a layer", f"layers = {layers}, stages = {stages}", f"layers = {stages}"
        )
    least, more = divmod(layers, stages)
    begins = [stage * least + min(stage, more) for stage in range(stages + 1)]
    return [range(begin, end) for begin, end in pairwise(begins)]


# DeepSeek-V3 report, arXiv:2412.19437, section 4.2.
DEEPSEEK_V3 = ModelShape(
    hidden=7168,
    layers=61,
    heads=128,
    nope=128,
    rope=64,
    value=128,
    key_value_latent=512,
    query_latent=1536,
    experts=256,
    experts_per_token=8,
    expert_hidden=2048,
    shared_experts=1,
    dense_layers=3,
    dense_hidden=18432,
    vocabulary=129280,
    predicting_layers=1,
)

# The Llama 3 Herd of Models, arXiv:2407.21783, table 3.
LLAMA_405B = ModelShape(
    hidden=16384,
    layers=126,
    heads=128,
    nope=128,
    rope=0,
    value=128,
    key_value_latent=0,
    query_latent=None,
    experts=0,
    experts_per_token=0,
    expert_hidden=0,
    shared_experts=0,
    dense_layers=126,
    dense_hidden=53248,
    vocabulary=128256,
    key_value_heads=8,
)

# Qwen3 Technical Report, arXiv:2505.09388, table 2, and the model's config.json.
QWEN3_235B = ModelShape(
    hidden=4096,
    layers=94,
    heads=64,
    nope=128,
    rope=0,
    value=128,
    key_value_latent=0,
    query_latent=None,
    experts=128,
    experts_per_token=8,
    expert_hidden=1536,
    shared_experts=0,
    dense_layers=0,
    dense_hidden=0,
    vocabulary=151936,
    key_value_heads=4,
)
