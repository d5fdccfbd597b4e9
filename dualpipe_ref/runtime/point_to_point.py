"""A rank's batches of messages over torch.distributed, exactly as the schedule has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.distributed
from torch import Tensor

from dualpipe_ref.schedule import Message

Give = Callable[[Message], Tensor]
Take = Callable[[Message, Tensor], None]


class PointToPoint:
    """Messages of one shape and type between the ranks of a process group.

    They carry no tag: the k-th send of a channel meets its k-th receive, as the verifier assumes.
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

    def run(self, messages: Sequence[Message], give: Give, take: Take) -> None:
        """Issue a batch together and leave it when all of it has met its other end."""
        received: list[tuple[Message, Tensor]] = []
        started = []
        for message in messages:
            if message.source == self.rank:
                values = give(message).contiguous()
                started.append(self._start(torch.distributed.isend, values, message.destination))
            else:
                values = torch.empty(self.shape, dtype=self.dtype, device=self.device)
                started.append(self._start(torch.distributed.irecv, values, message.source))
                received.append((message, values))
        for work in torch.distributed.batch_isend_irecv(started) if started else ():
            work.wait()
        for message, values in received:
            take(message, values)

    def _start(
        self, what: Callable[..., object], values: Tensor, peer: int
    ) -> torch.distributed.P2POp:
        if self.group is not None:
            peer = torch.distributed.get_global_rank(self.group, peer)
        return torch.distributed.P2POp(what, values, peer, self.group)
