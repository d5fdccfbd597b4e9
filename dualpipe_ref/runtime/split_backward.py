"""A backward in two halves: I, the gradients of a module's inputs, now; W, those of its parameters, when there is time.

Autograd's graph is walked from the outputs. Where a node on the way to an input has an edge that leads to parameters
alone, I keeps the gradient that arrives at that node, and W starts from there. Nothing is computed twice but what such
a node shares between its edges. A parameter that more than one of these nodes reaches, such as a tied weight, is done by
I at once: W could not tell its paths apart.

Under torch.utils.checkpoint (use_reentrant=False) what was let go is computed again once in I, and once more in W: it
lives for one pass over the graph. `model.recompute.Remade` in a module's parts computes it once for both.

What holds of hooks: one on a parameter runs with the parameter's gradient, so in W; one on a tensor between, or on a
node, runs in I, and once more in W where W starts at just that node. A hook that only changes the gradient changes it
once all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import GradientEdge
from torch.utils.checkpoint import GraphExecGroup

from dualpipe_ref.runtime.split_graph import SplitGraph, Start, splittable, wanted_edges

__all__ = ["Weights", "input_gradients", "splittable"]

Weights = Callable[[], None]


def input_gradients(
    outputs: Sequence[Tensor], gradients: Sequence[Tensor], inputs: Sequence[Tensor]
) -> tuple[tuple[Tensor | None, ...], Weights]:
    """Gradients of `inputs` (leaves), and the W that adds those of all parameters to their `grad`.

    `outputs` have a graph. The graph lives until W has run, or is dropped. Without inputs, W is the whole backward.
    Raises `InputError` where the graph holds what cannot be split; `can_split.check_can_split` also says in which module.

    >>> layer, x = torch.nn.Linear(2, 1, bias=False), torch.ones(1, 2, requires_grad=True)
    >>> (gradient,), weights = input_gradients([layer(x)], [torch.ones(1, 1)], [x])
    >>> torch.equal(gradient, layer.weight), layer.weight.grad
    (True, None)
    >>> weights()
    >>> layer.weight.grad
    tensor([[1., 1.]])
    """
    if not inputs:  # nobody waits for an I, and a backward in one go does less
        return (), partial(torch.autograd.backward, outputs, gradients)
    graph = SplitGraph(outputs, inputs)
    for _, error in graph.refused():
        raise error
    starts, functions = graph.starts, _Functions(graph)
    edges = [GradientEdge(start.node, place) for start in starts for place in start.places]
    wanted = [*inputs, *graph.shared, *edges]
    found = torch.autograd.grad(
        outputs, wanted, gradients, retain_graph=bool(starts), allow_unused=True
    )
    functions.turn_to_weights()
    first, last = len(inputs), len(inputs) + len(graph.shared)
    for parameter, gradient in zip(graph.shared, found[first:last], strict=True):
        _add(parameter, gradient)
    arrived = iter(found[last:])
    queue = [_Waiting(one, [next(arrived) for _ in one.places]) for one in starts]
    return found[:first], partial(_run_weights, queue)


class _Waiting(NamedTuple):
    start: Start
    gradients: list[Tensor | None]


def _run_weights(queue: list[_Waiting]) -> None:
    # A checkpoint of torch's computes again for each call of backward, but once for all calls in a group.
    with GraphExecGroup():
        while queue:
            _, level = next(groupby(queue, key=lambda waiting: waiting.start.level))
            together = list(level)
            del queue[: len(together)]
            _run_level(together)


def _run_level(level: list[_Waiting]) -> None:
    """One call for all starts of a level: none leads to another, and each call looks at all of the graph below it."""
    pairs = [
        (GradientEdge(start.node, place), gradient)
        for start, gradients in level
        for place, gradient in zip(start.places, gradients, strict=True)
        if gradient is not None
    ]
    if pairs:
        parameters = [one for start, _ in level for one in start.parameters]
        edges, values = zip(*pairs, strict=True)
        torch.autograd.backward(edges, values, inputs=parameters)


def _add(parameter: Tensor, gradient: Tensor | None) -> None:
    if gradient is None:
        return
    if parameter.grad is None:
        parameter.grad = gradient.clone()  # it may be what waits for a W, too
    else:
        with torch.no_grad():
            parameter.grad += gradient


class _Functions:
    """The marked custom Functions that W starts at: told which half is wanted, and held to it."""

    def __init__(self, graph: SplitGraph) -> None:
        nodes = [start.node for start in graph.starts if graph.leads_to_input[start.node]]
        self._halves = [
            _Half(node, list(wanted_edges(graph, node)))
            for node in nodes
            if isinstance(node, BackwardCFunction)
        ]
        self._turn(0)

    def turn_to_weights(self) -> None:
        """I has run."""
        self._turn(1)

    def _turn(self, half: int) -> None:
        for one in self._halves:
            one.turn(half)


class _Half:
    """One of them, and for each edge whether I and whether W wants its gradient, None where nobody ever does."""

    def __init__(self, node: BackwardCFunction, wanted: Sequence[tuple[bool, bool] | None]) -> None:
        self._node, self._wanted, self._asked = node, wanted, tuple(node.needs_input_grad)
        self._now: list[bool] = []  # the hook must not hold the node, which holds the hook
        node.register_hook(partial(_hold_to_it, node.name(), self._now))

    def turn(self, half: int) -> None:
        self._now[:] = [one is None or one[half] for one in self._wanted]
        flags = iter([one[half] for one in self._wanted if one is not None])
        self._node.needs_input_grad = tuple(one and next(flags) for one in self._asked)


def _hold_to_it(name: str, now: Sequence[bool], found: Sequence[Tensor | None], _: object) -> None:
    for place, (one, is_wanted) in enumerate(zip(found, now, strict=True)):
        if one is not None and not is_wanted:
            raise RuntimeError(
                f"{name} is marked as splittable, and computes the gradient of its tensor {place} in the half that does"
                f" not want it: heed ctx.needs_input_grad"
            )
