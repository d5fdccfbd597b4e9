"""Messages and sums between ranks that are threads of one process, as on one GPU or over the emulator.

Each pair of ranks has a channel in each direction, first in, first out. Nothing is copied: what is put there is what is
taken. On a GPU it comes with an event, after which the taker's stream goes on; no thread waits for the GPU.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dualpipe_ref.comm.started import arrived, mark
from dualpipe_ref.runtime.executor import Give
from dualpipe_ref.runtime.grid import Over
from dualpipe_ref.runtime.point_to_point import checked
from dualpipe_ref.schedule import Message


class Post:
    """The channels of all ranks. Who waits longer than `patience` seconds, or when it has ended, gets `RuntimeError`."""

    def __init__(self, patience: float = 60) -> None:
        self.patience = patience
        self._changed = threading.Condition()
        self._channels: dict[tuple[int, int], deque[tuple[Any, Any]]] = defaultdict(deque)
        self._ended = ""

    def put(self, source: int, destination: int, value: Any) -> None:
        """Put a value into a channel."""
        event = mark(value.device) if isinstance(value, Tensor) else None
        with self._changed:
            self._channels[source, destination].append((value, event))
            self._changed.notify_all()

    def take(self, source: int, destination: int) -> Any:
        """The next value of a channel, as soon as it is there."""
        with self._changed:
            channel = self._channels[source, destination]
            self._wait(lambda: bool(channel), f"nothing came from rank {source}")
            value, event = channel.popleft()
            self._changed.notify_all()
        return arrived(event, [value])[0] if event is not None else value

    def share(self, rank: int, ranks: Sequence[int], value: Any) -> list[Any]:
        """The values of all `ranks`, of which `rank` gives this one."""
        for one in ranks:
            if one != rank:
                self.put(rank, one, value)
        return [value if one == rank else self.take(one, rank) for one in ranks]

    def wait_taken(self, source: int, ranks: Sequence[int]) -> None:
        """Until `ranks` have taken all that the source put into their channels."""
        with self._changed:
            mine = {one: self._channels[source, one] for one in ranks}
            self._wait(
                lambda: not any(mine.values()),
                "not taken: "
                + ", ".join(f"{len(left)} for rank {one}" for one, left in mine.items() if left),
            )

    def end(self, reason: str) -> None:
        """Nobody need wait any more."""
        with self._changed:
            self._ended = self._ended or reason
            self._changed.notify_all()

    def _wait(self, is_there: Any, what: str) -> None:
        self._changed.wait_for(lambda: is_there() or self._ended, self.patience)
        if not is_there():
            raise RuntimeError(self._ended or f"{what} within {self.patience:g} s")


class PostedWires:
    """The messages of one rank of a pipeline, `executor.Wires`; `ranks` are all of it, by their numbers at the post.

    They carry no tag, as between processes: the k-th send of a channel meets its k-th receive.
    """

    def __init__(
        self, post: Post, ranks: Sequence[int], rank: int, shape: Sequence[int], dtype: torch.dtype
    ) -> None:
        self.post, self.ranks, self.rank = post, ranks, rank
        self.shape, self.dtype = tuple(shape), dtype
        self._asked: dict[int, deque[Message]] = defaultdict(deque)
        self._here: dict[Message, Tensor] = {}

    def issue(self, messages: Sequence[Message], give: Give) -> None:
        me = self.ranks[self.rank]
        for message in messages:
            if message.source == self.rank:
                values = checked(message, give(message), self.shape, self.dtype)
                self.post.put(me, self.ranks[message.destination], values)
            else:
                self._asked[message.source].append(message)

    def receive(self, message: Message) -> Tensor:
        asked = self._asked[message.source]
        if message not in asked and message not in self._here:
            raise KeyError(message)
        while message not in self._here:
            values = self.post.take(self.ranks[message.source], self.ranks[self.rank])
            self._here[asked.popleft()] = values
        return self._here.pop(message)

    def finish(self) -> None:
        self.post.wait_taken(self.ranks[self.rank], self.ranks)


class Posted:
    """One thread's place, `grid.Place`: pipeline rank p of P, and e of the EP ranks that share experts; one copy of all.

    At the post its number is p x EP + e, as that of a process in `make_grid`.
    """

    def __init__(self, post: Post, ranks: int, expert_ranks: int, number: int) -> None:
        self.post, self.number = post, number
        self.pipeline_rank, self.expert_rank = divmod(number, expert_ranks)
        self.pipeline = range(self.expert_rank, ranks * expert_ranks, expert_ranks)
        first = self.pipeline_rank * expert_ranks
        self._same = {
            "stage": range(first, first + expert_ranks),
            "data": range(number, number + 1),
        }

    def copies(self, over: Over) -> int:
        return len(self._same[over])

    def add(self, row: Tensor, over: Over) -> None:
        """In the order of the ranks."""
        first, *others = self.post.share(self.number, self._same[over], row.clone())
        row.copy_(first)
        for one in others:
            row += one

    def swap(self, row: Tensor, peer: int) -> Tensor:
        # A copy, since the caller may write to its row before the peer has read it.
        self.post.put(self.number, self.pipeline[peer], row.clone())
        got: Tensor = self.post.take(self.pipeline[peer], self.number)
        return got

    def tell(self, value: Any) -> list[Any]:
        return self.post.share(self.number, self.pipeline, value)
