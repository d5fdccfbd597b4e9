"""A rank's batches of messages over torch.distributed, exactly as the schedule has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref.runtime.executor import Give
from dualpipe_ref.schedule import InputError, Message

SENDS = 8  # whose tensors live on: the oldest one more is waited for, and has long left


class PointToPoint:
    """Messages of one shape and type between the ranks of a process group.

    They carry no tag: the k-th send of a channel meets its k-th receive, as the verifier assumes. A batch is issued as
    a whole; a send is waited for some sends later, which frees its tensor, and a receive by who needs it.
    All ranks make it together: the shape is negotiated here, once. Raises `InputError` where they do not agree.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: torch.dtype,
        group: torch.distributed.ProcessGroup | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.shape, self.dtype, self.device = tuple(shape), dtype, device
        self.group = group
        self.rank = torch.distributed.get_rank(group)
        self._negotiate()
        self._sends: deque[tuple[torch.distributed.Work, Tensor]] = deque()
        self._receives: dict[Message, tuple[torch.distributed.Work, Tensor]] = {}

    def issue(self, messages: Sequence[Message], give: Give) -> None:
        """Begin all sends and receives of a batch together."""
        started, tensors = [], []
        while len(self._sends) > SENDS:  # an order that the verifier passed may wait at once
            self._sends.popleft()[0].wait()
        for message in messages:
            is_send = message.source == self.rank
            values = (
                checked(message, give(message), self.shape, self.dtype)
                if is_send
                else self._empty()
            )
            what = torch.distributed.isend if is_send else torch.distributed.irecv
            peer = message.destination if is_send else message.source
            started.append(self._operation(what, values, peer))
            tensors.append(values)
        works = torch.distributed.batch_isend_irecv(started) if started else []
        if len(works) < len(started):  # nccl gives one for all of them
            works = works * len(started)
        for message, work, values in zip(messages, works, tensors, strict=True):
            if message.source == self.rank:
                self._sends.append((work, values))
            else:
                self._receives[message] = (work, values)

    def receive(self, message: Message) -> Tensor:
        """What the message brought, as soon as it is here."""
        work, values = self._receives[message]
        work.wait()
        del self._receives[message]
        return values

    def finish(self) -> None:
        """Wait until all that was sent has left."""
        for work, _ in self._sends:
            work.wait()
        self._sends.clear()

    def _negotiate(self) -> None:
        mine = (self.shape, str(self.dtype))
        theirs: list[tuple[tuple[int, ...], str]] = [mine] * torch.distributed.get_world_size(
            self.group
        )
        torch.distributed.all_gather_object(theirs, mine, group=self.group)
        for rank, one in enumerate(theirs):
            if one != theirs[0]:
                raise InputError(
                    "all ranks send activations of one shape and type",
                    f"{one[0]}, {one[1]} on rank {rank}",
                    f"{theirs[0][0]}, {theirs[0][1]}, as rank 0",
                )

    def _empty(self) -> Tensor:
        return torch.empty(self.shape, dtype=self.dtype, device=self.device)

    def _operation(
        self, what: Callable[..., object], values: Tensor, peer: int
    ) -> torch.distributed.P2POp:
        return torch.distributed.P2POp(what, values, group=self.group, group_peer=peer)


def checked(message: Message, values: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """What a message is to carry, in one piece. Raises `InputError` where it has another shape or type than agreed."""
    if tuple(values.shape) != shape or values.dtype != dtype:
        raise InputError(
            "every micro-batch has the shape that the ranks agreed on: a receive is posted before anybody has seen what comes",
            f"{tuple(values.shape)}, {values.dtype} for the {message}",
            f"{shape}, {dtype}",
        )
    return values.contiguous()
