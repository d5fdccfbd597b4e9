"""A run of layers that one pipeline rank holds; the first stage also embeds, the last computes the loss."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.model.attention import Norm, Projection
from dualpipe_ref.model.config import ModelConfig
from dualpipe_ref.model.initial import normal
from dualpipe_ref.model.layer import DenseLayer, Layer
from dualpipe_ref.model.parts import StageParts, run_parts
from dualpipe_ref.simulate.shapes import layers_of_stages

__all__ = ["Stage", "layers_of_stages"]


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
        self.first_layer = held.start
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

    def parts(self) -> StageParts:
        """Embedding, layers, and loss, each on the stage that has it."""
        return StageParts(
            self._embedded if self.is_first else None,
            [layer.parts() for layer in self.layers],
            self._judged if self.is_last else None,
        )

    def forward(self, values: Tensor, targets: Tensor | None = None) -> Tensor:
        return run_parts(self.parts(), values, targets=targets)

    def names(self) -> dict[str, str]:
        """The name that each parameter and buffer here has in the whole model, where layers and experts count on."""
        return {name: self._name_in_whole(name) for name in self.state_dict()}

    def _name_in_whole(self, name: str) -> str:
        if not name.startswith("layers."):
            return name
        _, layer, rest = name.split(".", 2)
        before, mark, after = rest.partition("experts.held.")
        if mark:
            number, part = after.split(".", 1)
            buffer = self.layers[int(layer)].buffer
            after = f"{buffer.rank * buffer.experts_here + int(number)}.{part}"
        return f"layers.{self.first_layer + int(layer)}.{before}{mark}{after}"

    def _embedded(self, tokens: Tensor) -> tuple[Tensor]:
        return (functional.embedding(tokens, self.embedding),)

    def _judged(self, values: Tensor, targets: Tensor | None = None) -> tuple[Tensor]:
        logits: Tensor = self.head(self.norm(values))
        if targets is None:
            return (logits,)
        return (functional.cross_entropy(logits.flatten(0, 1), targets.flatten()),)
