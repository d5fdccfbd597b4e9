"""What the hosts of all versions do around a launch: check what a kernel cannot, make its tables, read its error record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.comm.checks import (
    check_returned,
    check_row_bytes,
    check_same_routing,
    checked,
)
from dualpipe_ref.comm.errors import Role, first_cause
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.kernels.elements import ELEMENTS
from dualpipe_ref.comm.kernels.message import Message
from dualpipe_ref.comm.kernels.waiting import RECORD_WORDS
from dualpipe_ref.comm.layout import Layout
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.transport.base import Transport
from dualpipe_ref.schedule.errors import InputError, require_int


class Room(NamedTuple):
    """What the buffers of a version were made for: rows of `hidden` numbers, `most_tokens` of each rank, K experts a token."""

    hidden: int
    most_tokens: int
    experts_per_token: int


def launch(
    transport: Transport,
    kernel: Callable[..., Any],
    plan: Callable[..., Any],
    *,
    blocks: int,
    threads: int,
    seconds: float,
    roles: Sequence[Role],
    rows: Sequence[tuple[Any, ...]] = (),
    element: ModuleType | None = None,
    **more: Any,
) -> None:
    """Run a kernel for all ranks here; raises `CommTimeout` if a role gave up.

    `plan` is the type of the kernel's plan: its common fields are filled in here, those of the version are `more`. `rows`,
    one a rank here, hold tensors, whose addresses go into the table, and numbers; None becomes 0.
    """
    errors = torch.zeros(RECORD_WORDS, dtype=torch.int64, device=transport.device)
    heaps, table = transport.heap_addresses(), _table(rows, transport.device)
    made = plan(
        first_rank=transport.ranks.start,
        blocks=blocks,
        heaps=heaps.data_ptr(),
        errors=errors.data_ptr(),
        timeout=int(seconds * 1e9),
        tables=table.data_ptr(),
        fields=len(rows[0]) if rows else 0,
        nodes=transport.topology.nodes,
        gpus=transport.topology.gpus_per_node,
        **more,
    )
    used = [value for row in rows for value in row if isinstance(value, Tensor)]
    transport.launch(
        kernel,
        made,
        blocks=blocks,
        threads=threads,
        tensors=[heaps, errors, table, *used],
        element=element,
    )
    record = errors.tolist()
    if record[0]:
        asked = [one for one in range(transport.topology.ranks) if one not in transport.ranks]
        raise first_cause(transport.who_gave_up(record), roles, asked)


def _table(rows: Sequence[tuple[Any, ...]], device: torch.device) -> Tensor:
    words = [[_word(value) for value in row] for row in rows]
    return torch.tensor(words or [[0]], dtype=torch.int64, device=device)


def _word(value: Tensor | int | None) -> int:
    return int(value.data_ptr()) if isinstance(value, Tensor) else value or 0


def check_machine(transport: Transport, blocks: int) -> None:
    """Raises `InputError` where a lane would have to stand for two nodes or GPUs, or blocks wait for ones without an SM."""
    topology = transport.topology
    for name, count in (("nodes", topology.nodes), ("GPUs of a node", topology.gpus_per_node)):
        if count > transport.lanes:
            raise InputError(
                f"each lane of a warp stands for one of the {name}",
                f"{count} for {transport.lanes} lanes",
                str(transport.lanes),
            )
    require_int("num_sms", blocks, 1)
    most = transport.sms_per_rank
    if most is not None and blocks > most:
        raise InputError(
            "all blocks run at once, since they wait for one another",
            f"num_sms = {blocks} where a rank may use {most}",
            f"num_sms = {most}",
        )


def check_room(room: Room) -> None:
    """Raises `InputError` for sizes that are no sizes."""
    for name, value in room._asdict().items():
        require_int(name, value, 1)


def check_outgoing(
    outgoing: Sequence[Outgoing], transport: Transport, experts: int, room: Room
) -> list[Layout]:
    """The layouts of what the ranks here send, if all of it keeps the rules; else `InputError`, which names the rank."""
    _check_ranks(outgoing, transport)
    layouts = []
    for rank, one in zip(transport.ranks, outgoing, strict=True):
        with _on_rank(rank):
            layouts.append(checked(one, transport.topology, experts))
            _check_outgoing(one, transport.device, room)
    return layouts


def _check_outgoing(one: Outgoing, device: torch.device, room: Room) -> None:
    tokens, routing, scales = one
    count, hidden = tokens.shape
    per_token = routing.experts.shape[1]
    if hidden != room.hidden:
        raise InputError(
            "tokens have the hidden size that the buffers were made for",
            f"H = {hidden}",
            f"H = {room.hidden}",
        )
    check_row_bytes(tokens)
    for name, got, most in (
        ("tokens", count, room.most_tokens),
        ("experts of a token", per_token, room.experts_per_token),
    ):
        if got > most:
            raise InputError(f"the buffers have room for {most} {name}", str(got), str(most))
    if routing.weights.dtype != torch.float32:
        raise InputError("weights travel in float32", str(routing.weights.dtype), "torch.float32")
    check_memory(
        device,
        tokens=tokens,
        experts=routing.experts,
        weights=routing.weights,
        scales=scales,
    )


def check_memory(device: torch.device, **tensors: Tensor | None) -> None:
    """Kernels get addresses: so everything lies on the transport's device, row after row, in whole vectors from the first."""
    for name, one in tensors.items():
        if one is None:
            continue
        if one.device != device:
            raise InputError(f"{name} are on the transport's device", str(one.device), str(device))
        if not one.is_contiguous():
            raise InputError(
                f"{name} are contiguous",
                f"strides {tuple(one.stride())} of shape {tuple(one.shape)}",
                f"{name}.contiguous()",
            )
        if name in ("tokens", "outputs") and one.data_ptr() % 16:
            raise InputError(
                f"{name} begin at a multiple of 16 bytes",
                f"{one.data_ptr() % 16} bytes after one",
                f"{name}.clone()",
            )


def check_combine(
    outputs: Sequence[Tensor],
    weights: Sequence[Tensor] | None,
    received: Sequence[int],
    transport: Transport,
    room: Room,
) -> None:
    """What the ranks here bring back, against the M that each received; `InputError` names the rank."""
    _check_ranks(outputs, transport)
    if weights is not None:
        _check_ranks(weights, transport)
    for place, (rank, one) in enumerate(zip(transport.ranks, outputs, strict=True)):
        along = None if weights is None else weights[place]
        with _on_rank(rank):
            check_returned(one, along, received[place], room.hidden)
            _check_summed(one, along, room)
            check_memory(transport.device, outputs=one, weights=along)
            if one.dtype != outputs[0].dtype or (
                weights is not None and weights[place].shape[1] != weights[0].shape[1]
            ):
                raise InputError(
                    "all ranks have one type of outputs and one number of weights",
                    f"{one.dtype}",
                    f"{outputs[0].dtype}",
                )


def _check_summed(one: Tensor, along: Tensor | None, room: Room) -> None:
    if one.dtype not in ELEMENTS:
        raise InputError(
            "combine adds float32 or bfloat16", str(one.dtype), " or ".join(map(str, ELEMENTS))
        )
    check_row_bytes(one)
    if along is None:
        return
    if along.dtype != torch.float32 or along.dim() != 2:
        raise InputError(
            "weights are [M, K] in float32",
            f"{along.dtype} {tuple(along.shape)}",
            f"torch.float32 ({len(one)}, {room.experts_per_token})",
        )
    if along.shape[1] > room.experts_per_token:
        raise InputError(
            f"the buffers have room for {room.experts_per_token} weights of a token",
            str(along.shape[1]),
            str(room.experts_per_token),
        )


def check_handles(layouts: Sequence[Layout], known: Sequence[Layout]) -> None:
    """Raises `InputError` unless each rank here gives the handle of an earlier dispatch of the same routing."""
    if len(layouts) != len(known):
        raise InputError(
            "there is one handle for each rank here", str(len(known)), str(len(layouts))
        )
    for one, other in zip(layouts, known, strict=True):
        check_same_routing(one.routing, one.experts, other)


def empty_received(outgoing: Outgoing, rows: int) -> Received:
    """Room for what a rank gets, for kernels to fill; `counted` adds the rest."""
    tokens, routing, scales = outgoing
    per_token = routing.experts.shape[1]
    return Received(
        tokens.new_empty(rows, tokens.shape[1]),
        routing.experts.new_empty(rows, 2),
        routing.experts.new_empty(rows, per_token),
        routing.weights.new_empty(rows, per_token),
        routing.experts.new_empty(0),
        None if scales is None else scales.new_empty(rows, scales.shape[1]),
    )


def counted(received: Received, held: int) -> Received:
    """The same with the number of tokens for each of the `held` experts here."""
    chosen = received.experts[received.experts >= 0]
    return received._replace(tokens_per_expert=torch.bincount(chosen, minlength=held))


def check_slot(message: Message, slot: int) -> None:
    """Raises `InputError` if a message is larger than the slots that the heap has."""
    if message.size > slot:
        raise InputError(
            f"a message fits into a slot of {slot} bytes",
            f"{message.size} bytes: a row of {message.row_bytes}, {message.scales} scales",
            f"{slot} bytes",
        )


def _check_ranks(given: Sequence[Any], transport: Transport) -> None:
    if len(given) != len(transport.ranks):
        raise InputError(
            "there is one input for each rank here", str(len(given)), str(len(transport.ranks))
        )


@contextmanager
def _on_rank(rank: int) -> Iterator[None]:
    """What an `InputError` says gets the rank."""
    try:
        yield
    except InputError as error:
        got = f"{error.got} on rank {rank}" if error.got else f"rank {rank}"
        raise InputError(error.rule, got, error.nearest) from None
