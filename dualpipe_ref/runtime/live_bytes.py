"""Bytes of tensors that are alive, op by op: the measured side of `simulate.footprint`. Needs torch."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ACTIVATIONS, PARAMETERS, GRADIENTS, STATES = "activations", "parameters", "gradients", "states"


class LiveBytes(TorchDispatchMode):
    """While it is active, counts the bytes of every storage that an op makes or reads, once each, until it is freed.

    `live` is the present number, `peak` the largest since the beginning or the last `restart`, `at_peak` what it was made of:
    parameters, gradients and states of the optimizer as far as they were named, all else activations. A tensor is seen
    with the op that makes it, also in a backward. Nothing waits for Python's collector: a storage tells when it goes.
    What an op's kernel takes and gives back inside of it is not seen.

    >>> import torch
    >>> with LiveBytes() as count:
    ...     a = torch.ones(256)            # 1024 bytes
    ...     b = (a + 1) * 2                # two of 1024, of which one is gone at once
    >>> count.live, count.peak
    (2048, 3072)
    >>> del b
    >>> count.live
    1024
    """

    def __init__(self, parameters: Iterable[nn.Parameter] = ()) -> None:
        super().__init__()
        self.by_kind: Counter[str] = Counter()
        self.peak, self.at_peak = 0, dict[str, int]()
        self._kinds: dict[int, tuple[str, int]] = {}  # of each storage: its kind and its bytes
        self._keys: dict[int, weakref.ref[Any]] = {}
        self._hooks = []
        for one in parameters:
            self.name(PARAMETERS, [one])
            hook = one.register_post_accumulate_grad_hook(self._name_gradient)
            self._hooks.append(hook)

    @property
    def live(self) -> int:
        """Bytes alive now."""
        return sum(self.by_kind.values())

    def name(self, kind: str, tensors: Iterable[Tensor | None]) -> None:
        """Count these tensors' storages as `kind` from now on."""
        for one in tensors:
            if one is not None:
                self._see(one, kind)

    def restart(self) -> None:
        """Look for a new peak from here on."""
        self.peak, self.at_peak = self.live, dict(self.by_kind)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for one in _tensors((args, kwargs, result)):
            self._see(one)
        return result

    def __exit__(self, *reason: Any) -> None:
        super().__exit__(*reason)
        for hook in self._hooks:
            hook.remove()

    def _name_gradient(self, parameter: Tensor) -> None:
        self.name(GRADIENTS, [parameter.grad])

    def _see(self, tensor: Tensor, kind: str | None = None) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        known = self._kinds.get(key)
        if known is not None and (kind is None or kind == known[0]) and known[1] == size:
            return
        if known is None:
            self._keys[key] = weakref.ref(storage, lambda _, key=key: self._forget(key))  # type: ignore[misc]
        else:  # it is named, or was given another size
            self.by_kind[known[0]] -= known[1]
        kind = kind or (known[0] if known else ACTIVATIONS)
        self._kinds[key] = kind, size
        self.by_kind[kind] += size
        if (live := self.live) > self.peak:
            self.peak, self.at_peak = live, dict(self.by_kind)

    def _forget(self, key: int) -> None:
        kind, size = self._kinds.pop(key)
        del self._keys[key]
        self.by_kind[kind] -= size


def _tensors(values: Any) -> Iterator[Tensor]:
    return (one for one in tree_leaves(values) if isinstance(one, Tensor))
