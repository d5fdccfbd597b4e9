"""What every version does with a call before anything moves: accept what the ranks give, and lay out its messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from dualpipe_ref.comm.checks import Facts, check_alike, facts_of
from dualpipe_ref.comm.exchange import Outgoing
from dualpipe_ref.comm.kernels.host import Room, check_handles, check_outgoing, check_slot
from dualpipe_ref.comm.kernels.message import Message
from dualpipe_ref.comm.layout import Layout
from dualpipe_ref.comm.transport.base import Transport


def accepted(
    outgoing: Sequence[Outgoing],
    handles: Sequence[Any] | None,
    transport: Transport,
    experts: int,
    room: Room,
) -> tuple[list[Layout], list[Facts]]:
    """The layouts and facts of what the ranks here send; `InputError` unless all of it, and all together, keeps the rules."""
    layouts = check_outgoing(outgoing, transport, experts, room)
    facts = [facts_of(one, experts) for one in outgoing]
    check_alike(facts)
    if handles is not None:
        check_handles(layouts, [handle.layout for handle in handles])
    return layouts, facts


def message_out(outgoing: Outgoing, meta: int, slot: int) -> Message:
    """A message of this dispatch, with `meta` words of the version; `InputError` if it is larger than a `slot`."""
    tokens, routing, scales = outgoing
    per_token = routing.experts.shape[1]
    message = Message(
        tokens.shape[1] * tokens.element_size(),
        0 if scales is None else scales.shape[1],
        per_token,
        per_token,
        meta,
    )
    check_slot(message, slot)
    return message


def message_back(outputs: Sequence[Tensor], weights: Sequence[Tensor] | None, slot: int) -> Message:
    """A message of this combine: a row, and the weights that travel along; `InputError` if it is larger than a `slot`."""
    message = Message(
        outputs[0].shape[1] * outputs[0].element_size(),
        weights=weights[0].shape[1] if weights else 0,
    )
    check_slot(message, slot)
    return message
