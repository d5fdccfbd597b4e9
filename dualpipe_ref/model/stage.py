"""A run of layers that one pipeline rank holds; the first stage also embeds, the last computes the loss."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.model.attention import Norm, Projection
from dualpipe_ref.model.config import ModelConfig
from dualpipe_ref.model.initial import normal
from dualpipe_ref.model.layer import DenseLayer, Layer
from dualpipe_ref.schedule.errors import InputError, require_int


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


class Stage(nn.Module):
    """Stage `number` of `stages`. Its parameters depend on the seed and their names, not on how the model is cut.

    The first stage takes token numbers [B, S] int64, the others [B, S, H]. The last one, given the `targets` [B, S],
    returns the mean loss in nats a token; without them, and on the others, the result is [B, S, H] or logits [B, S, V].
    """

    def __init__(
        self, config: ModelConfig, number: int, stages: int, buffer: Buffer, seed: int = 0
    ) -> None:
        super().__init__()
        held = layers_of_stages(config.layers, stages)[number]
        self.is_first, self.is_last = number == 0, number == stages - 1
        self.layers = nn.ModuleList(
            DenseLayer(config, layer, seed)
            if layer < config.dense_layers
            else Layer(config, layer, seed, buffer)
            for layer in held
        )
        if self.is_first:
            table = normal("embedding", (config.vocabulary, config.hidden), seed, 1.0)
            self.embedding = nn.Parameter(table)
        if self.is_last:
            self.norm = Norm(config.hidden, config.norm_epsilon)
            self.head = Projection("head", config.hidden, config.vocabulary, seed)

    def forward(self, values: Tensor, targets: Tensor | None = None) -> Tensor:
        if self.is_first:
            values = functional.embedding(values, self.embedding)
        for layer in self.layers:
            values = layer(values)
        if not self.is_last:
            return values
        logits: Tensor = self.head(self.norm(values))
        if targets is None:
            return logits
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
