"""What is asked of the input of a dispatch and a combine, before anything moves; the rules of all versions are here.

A version adds only what its own buffers ask for (such as how many tokens have room).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.layout import Layout, layout_of
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.schedule.errors import InputError

# Types of tokens and weights, in an order that all ranks know: they tell each other places in it.
DTYPES = (
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.float64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
)
ROW_BYTES = 16  # kernels copy 16 bytes at a time


class Facts(NamedTuple):
    """What must be the same on all ranks of one dispatch."""

    experts: int
    hidden: int
    experts_per_token: int
    tokens_type: torch.dtype
    weights_type: torch.dtype
    scales_per_token: int


NAMES = (
    "number of experts",
    "hidden size",
    "number of experts of a token",
    "type of tokens",
    "type of weights",
    "number of scales of a token",
)


def facts_of(outgoing: Outgoing, experts: int) -> Facts:
    """The facts of one rank, whose input is `checked`."""
    tokens, routing, scales = outgoing
    per_token = 0 if scales is None else scales.shape[1]
    return Facts(
        experts,
        tokens.shape[1],
        routing.experts.shape[1],
        tokens.dtype,
        routing.weights.dtype,
        per_token,
    )


def numbers_of(facts: Facts) -> list[int]:
    """The facts as numbers, for other ranks."""
    return [DTYPES.index(one) if isinstance(one, torch.dtype) else one for one in facts]


def facts_from(numbers: Sequence[int]) -> Facts:
    """What another rank said with `numbers_of`."""
    experts, hidden, per_token, tokens, weights, scales = numbers
    return Facts(experts, hidden, per_token, DTYPES[tokens], DTYPES[weights], scales)


def checked(outgoing: Outgoing, topology: Topology, experts: int) -> Layout:
    """The layout of what one rank sends, if it keeps the rules; else `InputError`.

    >>> from dualpipe_ref.comm.routing import Routing
    >>> routing = Routing(torch.tensor([[0, 1]]), torch.ones(1, 1))
    >>> checked(Outgoing(torch.ones(1, 8), routing), Topology(1, 2), experts=2)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: tokens are [T, H], experts and weights [T, K]; got (1, 8), (1, 2), (1, 1)
    """
    check_shapes(outgoing)
    return layout_of(outgoing.routing.experts, topology, experts)


def check_shapes(outgoing: Outgoing) -> None:
    """All of `checked` but which experts there are."""
    tokens, routing, scales = outgoing
    shapes = [tuple(one.shape) for one in (tokens, *routing)]
    if tokens.dim() != 2 or shapes[1] != shapes[2] or len(tokens) != len(routing.experts):
        raise InputError(
            "tokens are [T, H], experts and weights [T, K]", ", ".join(map(str, shapes))
        )
    for name, one in (("tokens", tokens), ("weights", routing.weights)):
        if one.dtype not in DTYPES:
            raise InputError(
                f"{name} are floating point", str(one.dtype), ", ".join(map(str, DTYPES))
            )
    devices = {str(one.device) for one in (tokens, *routing, scales) if one is not None}
    if len(devices) > 1:
        raise InputError("tokens, routing and scales are on one device", ", ".join(sorted(devices)))
    if scales is not None:
        _check_scales(scales, len(tokens))


def _check_scales(scales: Tensor, tokens: int) -> None:
    if scales.dim() != 2 or len(scales) != tokens or scales.dtype != torch.float32:
        raise InputError(
            "scales are [T, S] in float32",
            f"{scales.dtype} {tuple(scales.shape)}",
            f"torch.float32 ({tokens}, S)",
        )


def check_alike(facts: Sequence[Facts]) -> None:
    """Raises `InputError` if ranks, in their order, disagree; it names the ranks of each value.

    >>> one = Facts(8, 64, 2, torch.bfloat16, torch.float32, 0)
    >>> check_alike([one, one._replace(hidden=32), one])
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: all ranks have one hidden size; got 64 on rank 0, 2; 32 on rank 1
    """
    for name, values in zip(NAMES, zip(*facts, strict=True), strict=True):
        check_one(name, values, range(len(facts)))


def check_one(name: str, values: Sequence[Hashable], ranks: range) -> None:
    """Raises `InputError` unless the ranks have one value."""
    if len(set(values)) > 1:
        where = {
            value: [rank for rank, one in zip(ranks, values, strict=True) if one == value]
            for value in values
        }
        told = "; ".join(
            f"{value} on rank {', '.join(map(str, some))}" for value, some in where.items()
        )
        raise InputError(f"all ranks have one {name}", told)


def check_same_routing(routing: Tensor, experts: int, known: Layout) -> None:
    """A handle's layout `known` against the routing [T, K] that it is used for again."""
    if experts != known.experts or not torch.equal(routing, known.routing):
        raise InputError(
            "a handle is used again for the routing that it was made for",
            f"{len(routing)} tokens to {experts} experts, another routing than its "
            f"{len(known.routing)} to {known.experts}",
            "no handle",
        )


def check_returned(outputs: Tensor, weights: Tensor | None, rows: int, hidden: int) -> None:
    """Outputs that are to be combined, and the weights [M, K] that go along, against what was received."""
    if len(outputs) != rows:
        raise InputError(
            "there is one output for each received token", f"{len(outputs)}", f"{rows}"
        )
    if outputs.dim() != 2 or outputs.shape[1] != hidden:
        raise InputError(
            "outputs have the hidden size of the tokens",
            f"{tuple(outputs.shape)}",
            f"({rows}, {hidden})",
        )
    if outputs.dtype not in DTYPES or outputs.element_size() == 1:
        raise InputError(
            "outputs are added, so they are in a type of two bytes or more",
            f"{outputs.dtype}",
            f"{torch.bfloat16}",
        )
    if weights is not None and len(weights) != rows:
        raise InputError(
            "there is a row of weights for each received token", f"{len(weights)}", f"{rows}"
        )


def check_row_bytes(tokens: Tensor) -> None:
    """Kernels copy whole groups of 16 bytes."""
    width = tokens.shape[1] * tokens.element_size()
    if not width or width % ROW_BYTES:
        step = ROW_BYTES // tokens.element_size()
        raise InputError(
            f"kernels move rows of a multiple of {ROW_BYTES} bytes",
            f"H = {tokens.shape[1]} in {tokens.dtype}, {width} bytes",
            f"H = {max(1, -(-tokens.shape[1] // step)) * step}",
        )
