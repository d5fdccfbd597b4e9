"""Initial values that depend on a parameter's name alone, so that every way to cut a model gives the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

SPREAD = 0.006  # standard deviation, as in the DeepSeek-V3 report, section 4.2
_DEVICE = ContextVar("device", default="cpu")


def normal(name: str, shape: tuple[int, ...], seed: int, spread: float = SPREAD) -> Tensor:
    """Normal numbers drawn for this name and seed, in float32, on the CPU unless `drawn_on` says otherwise.

    >>> torch.equal(normal("head", (2, 2), 0), normal("head", (2, 2), 0)), torch.equal(normal("head", (2,), 0), normal("tail", (2,), 0))
    (True, False)
    """
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    device = _DEVICE.get()
    generator = torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.randn(*shape, generator=generator, device=device) * spread


@contextmanager
def drawn_on(device: str) -> Iterator[None]:
    """Inside, numbers are drawn on a device, which has others for the same seed: for large models whose values do not matter."""
    token = _DEVICE.set(device)
    try:
        yield
    finally:
        _DEVICE.reset(token)
