"""A machine with one number a value, in fractions: it runs the steps of a chunk, and counts what it holds and does.

Layer l makes x + w[l] x^2 of x, so its backward needs its input. What a step reads must be there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from reprlib import repr as short

from dualpipe_ref.grading.checks import Fault

START, TARGET = Fraction(1, 3), Fraction(2)


def weights_of(layers: int) -> list[Fraction]:
    """One a layer, all different."""
    return [Fraction(layer + 2, 3 * layer + 4) for layer in range(layers)]


def plain(layers: int) -> list[Fraction]:
    """The gradients of all weights where everything is kept, and of the chunk's input last."""
    weights, values = weights_of(layers), [START]
    for weight in weights:
        values.append(values[-1] + weight * values[-1] ** 2)
    gradient, found = values[-1] - TARGET, []
    for weight, value in zip(reversed(weights), reversed(values[:-1]), strict=True):
        found.append(gradient * value**2)
        gradient *= 1 + 2 * weight * value
    return [*reversed(found), gradient]


@dataclass
class Machine:
    """Its state; `values[l]` is the input of layer l, `gradients[l]` its gradient."""

    layers: int
    values: dict[int, Fraction] = field(default_factory=lambda: {0: START})
    gradients: dict[int, Fraction] = field(default_factory=dict)
    of_weights: dict[int, Fraction] = field(default_factory=dict)
    forwards: list[int] = field(default_factory=list)
    at_turn: int = 0
    after_turn: int = 0
    turns: int = 0

    def run(self, steps: object) -> None:
        """All steps. Raises `Fault` at one that cannot be done."""
        if not isinstance(steps, list | tuple):
            raise Fault(f"{short(steps)} is no list of steps")
        for place, step in enumerate(steps):
            match step:
                case ["forward" | "backward" | "drop" as what, int(layer)] if type(layer) is int:
                    if not 0 <= layer < self.layers:
                        raise Fault(f"step {place}, {step}: layers are 0 to {self.layers - 1}")
                    getattr(self, f"_{what}")(layer, f"step {place}, {what} {layer}")
                case ["turn"]:
                    self._turn(f"step {place}, turn")
                case _:
                    raise Fault(
                        f"step {place}, {short(step)}: a step is ('forward', layer), ('drop', layer),"
                        " ('turn',) or ('backward', layer)"
                    )
            if self.turns:
                self.after_turn = max(self.after_turn, len(self.values))

    def _needs(self, there: dict[int, Fraction], layer: int, what: str, where: str) -> Fraction:
        if layer not in there:
            raise Fault(f"{where}: the {what} is not here")
        return there[layer]

    def _forward(self, layer: int, where: str) -> None:
        value = self._needs(self.values, layer, f"input of layer {layer}", where)
        self.values[layer + 1] = value + weights_of(self.layers)[layer] * value**2
        self.forwards.append(layer)

    def _drop(self, layer: int, where: str) -> None:
        self._needs(self.values, layer, f"input of layer {layer}", where)
        del self.values[layer]

    def _turn(self, where: str) -> None:
        """The output leaves, and its gradient comes."""
        output = self._needs(self.values, self.layers, "output of the last layer", where)
        self.gradients[self.layers] = output - TARGET
        del self.values[self.layers]
        self.at_turn, self.turns = len(self.values), self.turns + 1

    def _backward(self, layer: int, where: str) -> None:
        gradient = self._needs(
            self.gradients, layer + 1, f"gradient of the output of layer {layer}", where
        )
        value = self._needs(self.values, layer, f"input of layer {layer}", where)
        self.of_weights[layer] = self.of_weights.get(layer, Fraction(0)) + gradient * value**2
        self.gradients[layer] = gradient * (1 + 2 * weights_of(self.layers)[layer] * value)
        del self.gradients[layer + 1]
