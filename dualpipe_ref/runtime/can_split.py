"""Whether a stage's backward can be run in two halves: asked once before the first step, and answered with a module's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils._pytree import tree_leaves

from dualpipe_ref.runtime.chunk import ChunkRun, parts_of
from dualpipe_ref.runtime.split_graph import SplitGraph
from dualpipe_ref.schedule import InputError

# By name: to import their modules takes seconds.
_WRAPPERS = ("DistributedDataParallel", "FullyShardedDataParallel", "FSDPModule")


def check_can_split(
    module: nn.Module, source: Tensor, targets: Tensor | None = None, *, name: str = "the module"
) -> None:
    """One forward of a stage, whose graph is looked at; raises `InputError` with the submodule that cannot be split.

    `source` is an example of what the stage gets, [B, S, H] or tokens, `targets` of what it is judged by, if it is the
    last. No gradient is computed; buffers and random states are afterwards what they were.

    >>> from torch.utils.checkpoint import checkpoint
    >>> class Block(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.inner = nn.Linear(2, 2)
    ...     def forward(self, x):
    ...         return checkpoint(self.inner, x, use_reentrant=True)
    >>> check_can_split(nn.Sequential(nn.Linear(2, 2), Block()), torch.ones(1, 2))
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: a reentrant checkpoint runs a whole backward inside of I; got 1 (Block) of the module, torch.utils.checkpoint with use_reentrant=True; nearest legal: use_reentrant=False
    """
    _check_wrappers(module, name)
    with _undisturbed(module), _Owners(module) as owners:
        chunk = ChunkRun(parts_of(module), source.detach(), targets)
        chunk.forward()
        for outputs, inputs in chunk.computations():
            if inputs:
                _check_graph(SplitGraph(outputs, inputs), owners, name)


def _check_graph(graph: SplitGraph, owners: _Owners, name: str) -> None:
    for node, error in graph.refused():
        raise _said(error, owners.of(node), name)
    for one in graph.shared:
        if one._post_accumulate_grad_hooks:
            where = next(
                (
                    named
                    for named, parameter in owners.module.named_parameters()
                    if parameter is one
                ),
                "a tensor",
            )
            raise InputError(
                "a weight that is used more than once gets its gradient in I, without the hooks that follow a sum",
                f"{where} of {name}, with register_post_accumulate_grad_hook",
                "register_hook, or the same after the step",
            )


def _check_wrappers(module: nn.Module, name: str) -> None:
    for place, one in module.named_modules():
        kinds = {kind.__name__ for kind in type(one).__mro__}
        if hasattr(one, "_orig_mod") or one._compiled_call_impl is not None:
            error = InputError(
                "a compiled backward computes both halves in one piece",
                "a module under torch.compile",
                "the same without torch.compile, or a schedule without I and W",
            )
            raise _said(error, (place, one), name)
        if kinds.intersection(_WRAPPERS):
            error = InputError(
                "sums over copies wait until all W are done",
                "hooks that sum in the middle of a backward",
                "the bare module; Pipeline.sum_gradients sums after the last W",
            )
            raise _said(error, (place, one), name)


def _said(error: InputError, owner: tuple[str, nn.Module], name: str) -> InputError:
    place, module = owner
    where = f"{place} ({type(module).__name__}) of {name}" if place else name
    return InputError(error.rule, f"{where}, {error.got}", error.nearest)


@contextmanager
def _undisturbed(module: nn.Module) -> Iterator[None]:
    """Buffers and random states are put back."""
    devices = {one.device for one in module.parameters() if one.device.type != "cpu"}
    kinds = {one.type for one in devices} or {"cuda"}
    kept = [(one, one.clone()) for one in module.buffers()]
    with ExitStack() as stack:
        for kind in kinds:
            of_kind = [one for one in devices if one.type == kind]
            stack.enter_context(torch.random.fork_rng(of_kind, device_type=kind))
        try:
            yield
        finally:
            with torch.no_grad():
                for (
                    buffer,
                    before,
                ) in kept:  # batch norm writes without a new version, so all of them
                    buffer.copy_(before)


class _Owners:
    """Which submodule made a node of the graph: the innermost whose forward ran."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._running: list[tuple[str, nn.Module]] = [("", module)]
        self._owner: dict[Node, tuple[str, nn.Module]] = {}
        self._handles: list[Any] = []

    def of(self, node: Node) -> tuple[str, nn.Module]:
        """Name and module; what no submodule made is the module's own."""
        return self._owner.get(node, ("", self.module))

    def __enter__(self) -> _Owners:
        for place, one in self.module.named_modules():
            owner = (place, one)

            def before(_: Any, args: Any, kwargs: Any, owner: Any = owner) -> None:
                self._label((args, kwargs))
                self._running.append(owner)

            def after(_: Any, args: Any, output: Any) -> None:
                self._label(output)
                self._running.pop()

            self._handles.append(one.register_forward_pre_hook(before, with_kwargs=True))
            self._handles.append(one.register_forward_hook(after))
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _label(self, values: Any) -> None:
        """All nodes under these values that have no owner yet belong to what runs now."""
        nodes = [one.grad_fn for one in tree_leaves(values) if isinstance(one, Tensor)]
        queue = [node for node in nodes if node is not None]
        while queue:
            node = queue.pop()
            if node not in self._owner:
                self._owner[node] = self._running[-1]
                queue += [below for below, _ in node.next_functions if below is not None]
