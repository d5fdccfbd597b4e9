"""Autograd's graph, looked at once for a backward in two halves: where W goes on from, and what cannot be cut in two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node, get_gradient_edge

from dualpipe_ref.schedule import InputError

_MARK = "_computes_only_what_is_needed"
Function = TypeVar("Function", bound=type[torch.autograd.Function])


def splittable(function: Function) -> Function:
    """Mark a custom autograd.Function whose backward computes only what `ctx.needs_input_grad` asks for.

    That is its rule: in I the flags of its parameters are False, in W those of its inputs. A class of somebody else can
    be marked by a call. A backward that returns more than it was asked for is an error when it runs.

    >>> @splittable
    ... class Scaled(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x, gain):
    ...         ctx.save_for_backward(x, gain)
    ...         return x * gain
    ...     @staticmethod
    ...     def backward(ctx, gradient):
    ...         (x, gain), (of_x, of_gain) = ctx.saved_tensors, ctx.needs_input_grad
    ...         return gradient * gain if of_x else None, gradient * x if of_gain else None
    """
    setattr(function, _MARK, True)
    return function


class Start(NamedTuple):
    """A node from which W goes on: its outputs that gradients arrive at, and the parameters that only it reaches.

    No start leads to another one of its `level`.
    """

    node: Node
    places: Sequence[int]
    parameters: Sequence[Tensor]
    level: int


class SplitGraph:
    """The nodes under some outputs: which lead to an input, and which parameters hang where.

    `starts` are where W goes on from, by level; `shared` the parameters that more than one of them reaches.
    """

    def __init__(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> None:
        roots = [(edge.node, edge.output_nr) for edge in map(get_gradient_edge, outputs)]
        self._edges: dict[Node, list[tuple[Node, int]]] = {}
        self.leads_to_input: dict[Node, bool] = {}
        order = self._walk(
            [node for node, _ in roots], {get_gradient_edge(one).node for one in inputs}
        )
        self._hanging = self._parameters_beside(order)
        loose = [(node, place) for node, place in roots if not self.leads_to_input[node]]
        reached = [one for hanging in self._hanging.values() for one in hanging]
        reached += [one for node, _ in loose for one in self.parameters_under(node)]
        self._count = Counter(map(id, reached))
        self.shared = list({id(one): one for one in reached if self._count[id(one)] > 1}.values())
        self._order = order
        self.starts = [
            Start(node, [place], own, 0)
            for node, place in loose
            if (own := self.own(self.parameters_under(node)))
        ]
        self.starts += self._starts(roots)
        self.starts.sort(key=lambda start: start.level)

    def own(self, parameters: Iterable[Tensor]) -> list[Tensor]:
        """Those of the parameters that only one start reaches."""
        return [one for one in parameters if self._count[id(one)] == 1]

    def refused(self) -> Iterator[tuple[Node, InputError]]:
        """Every node that cannot be run in two halves, and why."""
        for node in self._order:
            if isinstance(node, BackwardCFunction) and self.leads_to_input[node]:
                error = _refusal(node, has_parameters=node in self._hanging)
                if error:
                    yield node, error

    def parameters_under(self, node: Node) -> list[Tensor]:
        """The parameters under a node; none where it leads to an input."""
        if self.leads_to_input[node]:
            return []
        seen = {node: None}
        queue = [node]
        for one in queue:  # grows while it is walked
            for below, _ in self._edges[one]:
                if below not in seen:
                    seen[below] = None
                    queue.append(below)
        return [one.variable for one in queue if not self._edges[one] and hasattr(one, "variable")]

    def _walk(self, roots: Sequence[Node], inputs: set[Node]) -> list[Node]:
        """All nodes, each behind those under it. A node's edges are asked for once: each time makes objects of Python."""
        edges, leads, found = self._edges, self.leads_to_input, list[Node]()
        stack = [(node, False) for node in roots]
        while stack:
            node, is_done = stack.pop()
            if is_done:
                leads[node] = node in inputs or any(leads[below] for below, _ in edges[node])
                found.append(node)
            elif node not in edges:
                edges[node] = [edge for edge in node.next_functions if edge[0] is not None]
                stack.append((node, True))
                stack += [(below, False) for below, _ in edges[node] if below not in edges]
        return found

    def _parameters_beside(self, order: Sequence[Node]) -> dict[Node, list[Tensor]]:
        """For each node that leads to an input, and by another edge to parameters alone: these."""
        found = {}
        for node in order:
            if self.leads_to_input[node]:
                beside = dict.fromkeys(
                    below for below, _ in self._edges[node] if not self.leads_to_input[below]
                )
                hanging = [one for below in beside for one in self.parameters_under(below)]
                if hanging:
                    found[node] = hanging
        return found

    def _starts(self, roots: Sequence[tuple[Node, int]]) -> list[Start]:
        """From the outputs down: how many starts lie above a node on the way that has most, and where gradients arrive."""
        places: dict[Node, set[int]] = {node: set() for node in self._hanging}
        levels = dict.fromkeys(self._order, 0)
        for node, place in roots:
            if node in places:
                places[node].add(place)
        for node in reversed(self._order):
            level = levels[node] + (node in places)
            for below, place in self._edges[node]:
                if below in places:
                    places[below].add(place)
                if levels[below] < level:
                    levels[below] = level
        return [
            Start(node, sorted(places[node]), own, levels[node])
            for node, hanging in self._hanging.items()
            if (own := self.own(hanging))
        ]


def wanted_edges(graph: SplitGraph, node: Node) -> Iterator[tuple[bool, bool] | None]:
    """For each edge of a node whether I needs its gradient, and whether W does; None for an edge that leads nowhere."""
    for below, _ in node.next_functions:
        if below is None:
            yield None
            continue
        parameters = graph.parameters_under(below)
        own = graph.own(parameters)
        yield graph.leads_to_input[below] or len(own) < len(parameters), bool(own)


def _refusal(node: BackwardCFunction, *, has_parameters: bool) -> InputError | None:
    function = node._forward_cls
    where = f"{function.__module__}.{function.__qualname__}"
    if where == "torch.utils.checkpoint.CheckpointFunction":
        return InputError(
            "a reentrant checkpoint runs a whole backward inside of I",
            "torch.utils.checkpoint with use_reentrant=True",
            "use_reentrant=False",
        )
    if function.__name__ == "CompiledFunction":
        return InputError(
            "a compiled backward computes both halves in one piece",
            "a function or a module under torch.compile",
            "the same without torch.compile, or a schedule without I and W",
        )
    if has_parameters and not hasattr(function, _MARK):
        return InputError(
            "a custom autograd.Function that has parameters says that it computes each half alone",
            where,
            "a backward that heeds ctx.needs_input_grad, and runtime.split_backward.splittable above the class",
        )
    return None
