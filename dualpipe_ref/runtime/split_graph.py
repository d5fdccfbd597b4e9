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

    `starts` are where W goes on from; `shared` the parameters that more than one of them reaches.
    """

    def __init__(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> None:
        self._inputs = {get_gradient_edge(one).node for one in inputs}
        self._roots = [(edge.node, edge.output_nr) for edge in map(get_gradient_edge, outputs)]
        self._places: dict[Node, set[int]] = {}
        self.leads_to_input: dict[Node, bool] = {}
        self._hanging: dict[Node, list[Tensor]] = {}
        self._order = self._walk()  # from the inputs up
        loose = [(node, place) for node, place in self._roots if not self.leads_to_input[node]]
        reached = [one for hanging in self._hanging.values() for one in hanging]
        reached += [one for node, _ in loose for one in self.parameters_under(node)]
        self._count = Counter(map(id, reached))
        self.shared = list({id(one): one for one in reached if self._count[id(one)] > 1}.values())
        levels = self._levels()
        self.starts = [
            Start(node, sorted(self._places[node]), own, levels[node])
            for node, hanging in self._hanging.items()
            if (own := self.own(hanging))
        ]
        self.starts += [
            Start(node, [place], own, 0)
            for node, place in loose
            if (own := self.own(self.parameters_under(node)))
        ]

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
        """The parameters under a node that leads to no input."""
        if self.leads_to_input[node]:
            return []
        seen = {node: None}
        queue = [node]
        for one in queue:  # grows while it is walked
            for below, _ in one.next_functions:
                if below is not None and below not in seen:
                    seen[below] = None
                    queue.append(below)
        return [one.variable for one in queue if hasattr(one, "variable")]

    def _walk(self) -> list[Node]:
        """All nodes, each behind those under it; fills the tables on the way."""
        found: list[Node] = []
        stack: list[tuple[Node, bool]] = [(node, False) for node, _ in self._roots]
        for node, place in self._roots:
            self._places.setdefault(node, set()).add(place)
        while stack:
            node, is_done = stack.pop()
            if is_done:
                self._finish(node)
                found.append(node)
                continue
            if node in self.leads_to_input:
                continue
            self.leads_to_input[node] = node in self._inputs
            stack.append((node, True))
            for below, place in node.next_functions:
                if below is not None:
                    self._places.setdefault(below, set()).add(place)
                    stack.append((below, False))
        return found

    def _finish(self, node: Node) -> None:
        below = [one for one, _ in node.next_functions if one is not None]
        if any(self.leads_to_input[one] for one in below):
            self.leads_to_input[node] = True
            loose = [one for one in dict.fromkeys(below) if not self.leads_to_input[one]]
            hanging = [parameter for one in loose for parameter in self.parameters_under(one)]
            if hanging:
                self._hanging[node] = hanging

    def _levels(self) -> dict[Node, int]:
        """How many starts lie above each node on the way that has most of them."""
        levels = dict.fromkeys(self._order, 0)
        for node in reversed(self._order):
            next_level = levels[node] + (node in self._hanging)
            for below, _ in node.next_functions:
                if below is not None and levels[below] < next_level:
                    levels[below] = next_level
        return levels


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
