"""Two small ranks that do what the steps say, in whole numbers, and the same layers without overlap.

Each rank has two tokens of two numbers. Attention multiplies each token by the layer's matrix, the MLP by that of the
rank on which the token is: an expert a rank. A dispatch moves tokens between the ranks, its combine brings them back.
What a step reads is what lies there when it runs: before a wait that is what came the last time, or zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.lanes import Part, Piece

from .steps import Step

Vector = tuple[int, ...]
Tokens = tuple[Vector, ...]  # those of rank 0, then those of rank 1
Matrix = tuple[Vector, ...]
RANKS, TOKENS, SIZE = 2, 4, 2
ZEROS: Tokens = ((0,) * SIZE,) * TOKENS


class Layer(NamedTuple):
    """Weights, and where each token goes: token `route[place]` comes to that place."""

    attention: Matrix
    experts: tuple[Matrix, ...]
    route: tuple[int, ...]


class Saved(NamedTuple):
    """What the backward needs of its forward: the inputs of both computations."""

    attention: Tokens
    mlp: Tokens


@dataclass
class Result:
    """All that the pair leaves: `gradients` by the name of what they are the gradient of."""

    output: Tokens = ZEROS
    saved: dict[str, Tokens] = field(default_factory=dict)
    gradients: dict[str, tuple[Vector, ...]] = field(default_factory=dict)


class Task(NamedTuple):
    """The layers, the forward's input, and for the backward what was saved and the gradient of its output."""

    layers: tuple[Layer, ...]
    tokens: Tokens
    saved: tuple[Saved, ...]
    gradient: Tokens


def task_of(layers: int) -> Task:
    """A pair with this many layers, always the same."""
    random = Random(layers)

    def numbers(count: int) -> tuple[Vector, ...]:
        return tuple(tuple(random.randint(1, 9) for _ in range(SIZE)) for _ in range(count))

    def route() -> tuple[int, ...]:
        # Somebody's token always leaves its rank.
        order = random.sample(range(TOKENS), TOKENS)
        return tuple(order) if sorted(order[:2]) != [0, 1] else (2, 1, 0, 3)

    model = tuple(
        Layer(numbers(SIZE), (numbers(SIZE), numbers(SIZE)), route()) for _ in range(layers)
    )
    saved = tuple(Saved(numbers(TOKENS), numbers(TOKENS)) for _ in range(layers))
    return Task(model, numbers(TOKENS), saved, numbers(TOKENS))


def times(matrix: Matrix, token: Vector) -> Vector:
    """matrix @ token."""
    return tuple(sum(a * b for a, b in zip(row, token, strict=True)) for row in matrix)


def transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def sum_of_products(gradients: Sequence[Vector], inputs: Sequence[Vector]) -> Matrix:
    """The gradient of a matrix: the sum of outer products over tokens."""
    pairs = list(zip(gradients, inputs, strict=True))
    return tuple(
        tuple(
            sum(gradient[row] * value[column] for gradient, value in pairs)
            for column in range(SIZE)
        )
        for row in range(SIZE)
    )


def moved(tokens: Tokens, route: Sequence[int]) -> Tokens:
    return tuple(tokens[place] for place in route)


def back(route: Sequence[int]) -> tuple[int, ...]:
    """The route that undoes another."""
    return tuple(route.index(place) for place in range(TOKENS))


def per_rank(tokens: Tokens, rank: int) -> Tokens:
    share = TOKENS // RANKS
    return tokens[rank * share : (rank + 1) * share]


def experts(matrices: Sequence[Matrix], tokens: Tokens) -> Tokens:
    return tuple(
        times(matrix, token)
        for rank, matrix in enumerate(matrices)
        for token in per_rank(tokens, rank)
    )


def without_overlap(task: Task) -> Result:
    """The whole forward, then the whole backward, as one would write them."""
    result = Result()
    tokens = task.tokens
    for number, layer in enumerate(task.layers):
        result.saved[f"attention of layer {number}"] = tokens
        sent = moved(tuple(times(layer.attention, token) for token in tokens), layer.route)
        result.saved[f"MLP of layer {number}"] = sent
        tokens = moved(experts(layer.experts, sent), back(layer.route))
    result.output = tokens
    gradient = task.gradient
    for number, layer in reversed(list(enumerate(task.layers))):
        at_experts = moved(gradient, layer.route)
        for rank in range(RANKS):
            result.gradients[f"MLP of layer {number}, rank {rank}"] = sum_of_products(
                per_rank(at_experts, rank), per_rank(task.saved[number].mlp, rank)
            )
        at_home = moved(experts([*map(transposed, layer.experts)], at_experts), back(layer.route))
        result.gradients[f"attention of layer {number}"] = sum_of_products(
            at_home, task.saved[number].attention
        )
        gradient = tuple(times(transposed(layer.attention), one) for one in at_home)
    result.gradients["input"] = gradient
    return result


class Machine:
    """Does steps one after another. Each chunk has one place for what was computed last and one for what arrived."""

    def __init__(self, task: Task) -> None:
        self.task, self.result = task, Result()
        self.computed = {OpKind.F: task.tokens, OpKind.I: task.gradient}
        self.arrived: dict[tuple[Part, OpKind], Tokens] = {}
        self.flying: dict[Piece, Tokens] = {}
        self.kept: dict[tuple[Part, int], Tokens] = {}  # gradients that a W will need

    def run(self, steps: Sequence[Step]) -> Result:
        """All steps, and what they leave."""
        do = {"run": self._compute, "start": self._start, "wait": self._wait}
        for action, piece in steps:
            do[action](piece)
        self.result.output = self.arrived.get((Part.COMBINE, OpKind.F), ZEROS)
        self.result.gradients["input"] = self.computed[OpKind.I]
        return self.result

    def _start(self, piece: Piece) -> None:
        route = self.task.layers[piece.layer].route
        # Forward, a dispatch goes out and a combine comes home. The backward of each is the other.
        goes_out = (piece.part is Part.DISPATCH) is (piece.kind is OpKind.F)
        self.flying[piece] = moved(self.computed[piece.kind], route if goes_out else back(route))

    def _wait(self, piece: Piece) -> None:
        self.arrived[piece.part, piece.kind] = self.flying.get(piece, ZEROS)

    def _compute(self, piece: Piece) -> None:
        work = {OpKind.F: self._forward, OpKind.I: self._input, OpKind.W: self._weights}
        work[piece.kind](piece, self.task.layers[piece.layer])

    def _forward(self, piece: Piece, layer: Layer) -> None:
        before = Part.COMBINE if piece.part is Part.ATTENTION else Part.DISPATCH
        tokens = self.arrived.get((before, OpKind.F), ZEROS)
        if piece.part is Part.ATTENTION and piece.layer == 0:
            tokens = self.task.tokens
        self.result.saved[f"{piece.part} of layer {piece.layer}"] = tokens
        if piece.part is Part.MLP:
            self.computed[OpKind.F] = experts(layer.experts, tokens)
        else:
            self.computed[OpKind.F] = tuple(times(layer.attention, token) for token in tokens)

    def _input(self, piece: Piece, layer: Layer) -> None:
        before = Part.COMBINE if piece.part is Part.MLP else Part.DISPATCH
        gradient = self.arrived.get((before, OpKind.I), ZEROS)
        self.kept[piece.part, piece.layer] = gradient
        if piece.part is Part.MLP:
            self.computed[OpKind.I] = experts([*map(transposed, layer.experts)], gradient)
        else:
            self.computed[OpKind.I] = tuple(
                times(transposed(layer.attention), one) for one in gradient
            )

    def _weights(self, piece: Piece, layer: Layer) -> None:
        gradient = self.kept.get((piece.part, piece.layer), ZEROS)
        saved = self.task.saved[piece.layer]
        name = f"{piece.part} of layer {piece.layer}"
        if piece.part is Part.ATTENTION:
            self.result.gradients[name] = sum_of_products(gradient, saved.attention)
            return
        for rank in range(RANKS):
            self.result.gradients[f"{name}, rank {rank}"] = sum_of_products(
                per_rank(gradient, rank), per_rank(saved.mlp, rank)
            )


def difference(found: Result, right: Result) -> str | None:
    """The first thing that is not as it is without overlap, with both values."""
    if found.output != right.output:
        return f"the output is {found.output}, without overlap {right.output}"
    for what, own, others in (
        ("the saved input of", found.saved, right.saved),
        ("the gradient of", found.gradients, right.gradients),
    ):
        for name, value in others.items():
            if own.get(name) != value:
                return f"{what} {name} is {own.get(name)}, without overlap {value}"
    return None
