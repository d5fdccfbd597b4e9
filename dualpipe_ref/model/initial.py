"""Initial values that depend on a parameter's name alone, so that every way to cut a model gives the same ones."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

SPREAD = 0.006  # standard deviation, as in the DeepSeek-V3 report, section 4.2


def normal(name: str, shape: tuple[int, ...], seed: int, spread: float = SPREAD) -> Tensor:
    """Normal numbers drawn for this name and seed, in float32 on the CPU.

    >>> torch.equal(normal("head", (2, 2), 0), normal("head", (2, 2), 0)), torch.equal(normal("head", (2,), 0), normal("tail", (2,), 0))
    (True, False)
    """
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.randn(*shape, generator=generator) * spread
