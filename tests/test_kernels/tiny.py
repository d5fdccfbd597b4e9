"""Kernels of a few lines, to look at the PTX of one thing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from dualpipe_ref.comm.kernels.compiled import to_ptx


class Plan(NamedTuple):
    """What a tiny kernel takes: an address, a number, and what waits and links ask of a plan."""

    at: int
    number: int
    heaps: int
    errors: int
    timeout: int


def ptx_of(kernel: Callable[..., Any], **options: Any) -> str:
    options = {"threads": 32, **options}
    return to_ptx(kernel, Plan, **options)


def instructions(ptx: str) -> list[str]:
    """The instructions of a kernel's PTX, with one space between their parts."""
    body = re.sub(r"//.*", "", ptx[ptx.index("{", ptx.index(".entry")) :])
    lines = [re.sub(r"\s+", " ", line).strip(" {}\n") for line in re.split("(?<=;)", body)]
    return [line for line in lines if line.endswith(";") and not line.startswith(".")]
