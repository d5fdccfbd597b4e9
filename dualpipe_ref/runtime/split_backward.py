"""A backward in two halves: I, the gradients of a module's inputs, now; W, those of its parameters, when there is time.

Autograd's graph is walked from the outputs. Where a node on the way to an input has an edge that leads to parameters
alone, I keeps the gradient that arrives at that node, and W starts from there. Nothing is computed twice but what such
a node shares between its edges. A parameter that more than one of these nodes reaches is done by I at once: W could not
tell its paths apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

Weights = Callable[[], None]


def input_gradients(
    outputs: Sequence[Tensor], gradients: Sequence[Tensor], inputs: Sequence[Tensor]
) -> tuple[tuple[Tensor | None, ...], Weights]:
    """Gradients of `inputs` (leaves), and the W that adds those of all parameters to their `grad`.

    `outputs` have a graph. The graph lives until W has run, or is dropped. Without inputs, W is the whole backward.

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
    graph = _Graph(outputs, inputs)
    starts = list(graph.starts())
    edges = [GradientEdge(node, place) for start in starts for node, place in start.edges]
    wanted = [*inputs, *graph.shared, *edges]
    found = torch.autograd.grad(
        outputs, wanted, gradients, retain_graph=bool(starts), allow_unused=True
    )
    first = len(inputs)
    for parameter, gradient in zip(graph.shared, found[first:], strict=False):
        _add(parameter, gradient)
    arrived = iter(found[first + len(graph.shared) :])
    queue = [
        (start, [(node, place, next(arrived)) for node, place in start.edges]) for start in starts
    ]
    return found[:first], lambda: _run_weights(queue)


class _Start:
    """A node from which W goes on: its outputs that gradients arrive at, and the parameters that only it reaches."""

    def __init__(self, edges: Sequence[tuple[Node, int]], parameters: Sequence[Tensor]) -> None:
        self.edges, self.parameters = edges, parameters


_Queue = list[tuple[_Start, list[tuple[Node, int, Tensor | None]]]]


def _run_weights(queue: _Queue) -> None:
    for start, arrived in queue:
        edges = [GradientEdge(node, place) for node, place, one in arrived if one is not None]
        values = [one for _, _, one in arrived if one is not None]
        if edges:
            torch.autograd.backward(edges, values, inputs=list(start.parameters))
    queue.clear()


def _add(parameter: Tensor, gradient: Tensor | None) -> None:
    if gradient is not None:
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


class _Graph:
    """The nodes under some outputs: which lead to an input, and which parameters hang where."""

    def __init__(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> None:
        self._inputs = {get_gradient_edge(one).node for one in inputs}
        self._roots = [(edge.node, edge.output_nr) for edge in map(get_gradient_edge, outputs)]
        self._places: dict[Node, set[int]] = {}
        self._to_input: dict[Node, bool] = {}
        self._hanging: dict[Node, list[Tensor]] = {}
        self._order = self._walk()
        reached = [one for node in self._order for one in self._hanging.get(node, ())]
        reached += [one for node, _ in self._roots for one in self._loose(node)]
        self._count = Counter(map(id, reached))
        self.shared = list({id(one): one for one in reached if self._count[id(one)] > 1}.values())

    def starts(self) -> Iterator[_Start]:
        """Where W starts, in the order of the walk."""
        for node in self._order:
            yield from self._start([(node, place) for place in sorted(self._places[node])], node)
        for node, place in self._roots:
            if not self._to_input[node]:
                yield from self._start([(node, place)], node, self._loose(node))

    def _start(
        self, edges: list[tuple[Node, int]], node: Node, parameters: list[Tensor] | None = None
    ) -> Iterator[_Start]:
        hanging = self._hanging[node] if parameters is None else parameters
        own = [one for one in hanging if self._count[id(one)] == 1]
        if own:
            yield _Start(edges, own)

    def _walk(self) -> list[Node]:
        """Nodes that lead to an input and have parameters beside; fills the tables on the way."""
        found: list[Node] = []
        stack: list[tuple[Node, bool]] = [(node, False) for node, _ in self._roots]
        for node, place in self._roots:
            self._places.setdefault(node, set()).add(place)
        while stack:
            node, is_done = stack.pop()
            if is_done:
                self._finish(node, found)
                continue
            if node in self._to_input:
                continue
            self._to_input[node] = node in self._inputs
            stack.append((node, True))
            for below, place in node.next_functions:
                if below is not None:
                    self._places.setdefault(below, set()).add(place)
                    stack.append((below, False))
        return found

    def _finish(self, node: Node, found: list[Node]) -> None:
        below = [one for one, _ in node.next_functions if one is not None]
        if any(self._to_input[one] for one in below):
            self._to_input[node] = True
            loose = [one for one in dict.fromkeys(below) if not self._to_input[one]]
            hanging = [parameter for one in loose for parameter in self._loose(one)]
            if hanging:
                self._hanging[node] = hanging
                found.append(node)

    def _loose(self, node: Node) -> list[Tensor]:
        """The parameters under a node that leads to no input."""
        if self._to_input[node]:
            return []
        seen = [node]
        for one in seen:  # grows while it is walked
            seen += {below for below, _ in one.next_functions if below and below not in seen}
        return [one.variable for one in seen if hasattr(one, "variable")]
