"""What a forward does not keep is made again when the backward asks for it: the same numbers, bit for bit.

Three policies (`ModelConfig.recompute`), each of which keeps less than the one before it. "norms": what an RMSNorm leaves, from what it took.
"up-projections": also queries, keys and values of all heads, from the latent vectors (both: DeepSeek-V3 report,
arXiv:2412.19437, section 3.2.3). "full": everything inside of attention and MLP, from what went into them; what the
all-to-all brought is kept, so that nothing is sent twice.

The first two replace single tensors that autograd would save, so they hold for any backward, also for one in two halves. The third runs a
whole computation again: `Remade`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, Token
from typing import Any, NamedTuple
from weakref import ref

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

_is_second: ContextVar[bool] = ContextVar("is_second", default=False)


class Again:
    """A tensor that is made when it is wanted, and kept until `users` have had it."""

    def __init__(self, make: Callable[[], Tensor], users: int = 1) -> None:
        self._make, self._users, self._left = make, users, users
        self._made: Tensor | None = None

    def take(self) -> Tensor:
        """The tensor, with the bits that it had."""
        if self._made is None:
            with torch.no_grad():
                self._made = self._make()
        made, self._left = self._made, self._left - 1
        if self._left == 0:
            self._made, self._left = None, self._users
        return made


class _View(NamedTuple):
    """What stands in the graph for a view of a tensor that is made again."""

    again: Again
    size: torch.Size
    stride: tuple[int, ...]
    offset: int


_Offers = dict[int, tuple[Any, Again]]
_offers: ContextVar[_Offers | None] = ContextVar("offers", default=None)


@contextmanager
def remaking(is_wanted: bool = True) -> Iterator[None]:
    """Within it, tensors that were offered are not kept for the backward.

    >>> x = torch.ones(3, requires_grad=True)
    >>> with remaking():
    ...     y = x * 2
    ...     offer(y, lambda: x * 2)
    ...     z = (y * y).sum()
    >>> z.backward()
    >>> x.grad
    tensor([8., 8., 8.])
    """
    if not is_wanted or not torch.is_grad_enabled():
        yield
        return
    offers: _Offers = {}

    def pack(tensor: Tensor) -> Tensor | _View:
        known = offers.get(tensor.untyped_storage()._cdata)
        if known is None or known[0]() is None:
            return tensor.detach()  # an op's own result would hold the op, which holds it
        return _View(known[1], tensor.size(), tensor.stride(), tensor.storage_offset())

    token = _offers.set(offers)
    try:
        with saved_tensors_hooks(pack, _unpack):
            yield
    finally:
        _offers.reset(token)


def _unpack(kept: Tensor | _View) -> Tensor:
    if isinstance(kept, Tensor):
        return kept
    return kept.again.take().as_strided(kept.size, kept.stride, kept.offset)


def offer(tensor: Tensor, make: Callable[[], Tensor]) -> None:
    """Say how `tensor` can be made again, as often as it is wanted. Nothing happens outside of `remaking`."""
    offers = _offers.get()
    if offers is not None:
        storage = tensor.untyped_storage()
        # An id is given again when a storage has gone.
        offers[storage._cdata] = ref(storage), Again(make)


class Remade:
    """A computation of which a forward keeps what went in alone; its backward runs it once more first.

    Called where autograd watches, it does so by torch.utils.checkpoint. `runtime.chunk` calls `first` and `second`, so that one
    second run serves both halves of a backward.

    >>> computation = Remade(lambda x: (x.exp().exp(),))
    >>> x = torch.zeros(2, requires_grad=True)
    >>> computation(x)[0].sum().backward()
    >>> x.grad
    tensor([2.7183, 2.7183])
    """

    def __init__(self, computation: Callable[..., tuple[Any, ...]]) -> None:
        self.computation = computation

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        if not torch.is_grad_enabled():
            return self.computation(*values)
        result: tuple[Any, ...] = checkpoint(
            self.computation,
            *values,
            use_reentrant=False,
            preserve_rng_state=False,  # nothing here is drawn
            context_fn=_first_and_second,
        )
        return result

    def first(self, *values: Any) -> tuple[Any, ...]:
        """The results, without a graph."""
        with torch.no_grad():
            return self.computation(*values)

    def second(self, *values: Any) -> tuple[Any, ...]:
        """The same results, with a graph."""
        with torch.enable_grad(), _second():
            return self.computation(*values)


def is_second() -> bool:
    """Whether this is a computation's second run, which must leave no trace of its own: counts are those of the first."""
    return _is_second.get()


class _second(AbstractContextManager[None]):  # noqa: N801 - a context manager, like the one above
    """May be entered again: a checkpoint computes again for each walk over its graph, and a backward in halves walks twice."""

    def __init__(self) -> None:
        self._tokens: list[Token[bool]] = []

    def __enter__(self) -> None:
        self._tokens.append(_is_second.set(True))

    def __exit__(self, *error: object) -> None:
        _is_second.reset(self._tokens.pop())


def _first_and_second() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _second()
