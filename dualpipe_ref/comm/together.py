"""Several ranks in one process, as on the emulator or on one GPU: a thread for each, whose calls meet and run as one.

>>> run_ranks(lambda rank: rank * rank, 3)
[0, 1, 4]
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from dualpipe_ref.comm.checks import check_one
from dualpipe_ref.comm.exchange import Exchange, Outgoing
from dualpipe_ref.comm.handle import Sums
from dualpipe_ref.comm.mover import now
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.started import after, mark
from dualpipe_ref.schedule.errors import InputError

Result = TypeVar("Result")


class MeetingError(RuntimeError):
    """Not all ranks came to a call, or one failed elsewhere; the message says which."""


class _Call(NamedTuple):
    """What a rank comes with: the name of a call, and the arguments of this rank; on a GPU, the event after which they are there."""

    name: str
    arguments: tuple[Any, ...]
    device: torch.device
    ready: Any


class _Round:
    """One call of all ranks: who came, and what came out."""

    def __init__(self) -> None:
        self.came: dict[int, _Call] = {}
        self.results: list[Any] = []
        self.done: Any = None  # on a GPU, the event after the results
        self.error: BaseException | None = None
        self.is_over = False


class Ends(Protocol):
    """Where ranks wait for one another, and may be told that nobody need wait any more."""

    def end(self, reason: str) -> None: ...


class Meeting:
    """Where the ranks of this process meet; each has its seat, which `Buffer` takes in place of a mover.

    The last rank to come runs the call for all. Input is checked there, of all ranks together, before anything is
    launched, and an error goes to all of them. A rank that does not come within `patience` seconds ends the meeting.
    """

    def __init__(self, exchange: Exchange, *, patience: float = 60) -> None:
        self.exchange, self.patience = exchange, patience
        self.topology, self.ranks = exchange.topology, exchange.ranks
        self._changed = threading.Condition()
        self._round = _Round()
        self._ended: MeetingError | None = None

    def of(self, rank: int, *, background: bool = False) -> Seat:
        """A rank's seat. In the `background`, a thread of its own waits for the others while the caller computes."""
        if rank not in self.ranks:
            raise InputError(
                "a seat is of a rank of this process",
                f"{rank}",
                f"{min(self.ranks)} to {max(self.ranks)}",
            )
        return Seat(self, rank, background=background)

    def end(self, reason: str) -> None:
        """Nobody need wait any more: all that come or wait get `MeetingError` with the reason."""
        with self._changed:
            self._end(reason)

    def call(self, rank: int, call: _Call) -> Any:
        """Come with this call; the result for this rank, when all have come."""
        with self._changed:
            if self._ended:
                raise self._ended
            here = self._round
            if rank in here.came:
                self._end(f"rank {rank} came twice, to {here.came[rank].name} and to {call.name}")
                assert self._ended
                raise self._ended
            here.came[rank] = call
            if len(here.came) == len(self.ranks):
                self._round = _Round()
                self._run(here)
                self._changed.notify_all()
            elif not self._changed.wait_for(lambda: here.is_over or self._ended, self.patience):
                missing = [str(one) for one in self.ranks if one not in here.came]
                self._end(
                    f"{len(here.came)} of {len(self.ranks)} ranks came to {call.name} within "
                    f"{self.patience:g} s; not rank {', '.join(missing)}"
                )
            if here.is_over:
                if here.error:
                    raise here.error
                after(here.done, call.device)
                return here.results[rank - self.ranks[0]]
            assert self._ended
            raise self._ended

    def _run(self, here: _Round) -> None:
        try:
            calls = [here.came[rank] for rank in self.ranks]
            check_one("order of calls", [one.name for one in calls], self.ranks)
            for one in calls:  # ranks have streams of their own; all of it runs on that of the last
                after(one.ready, one.device)
            here.results = self._run_exchange(calls)
            here.done = mark(calls[0].device)
        except BaseException as error:
            here.error = error
        here.is_over = True

    def _run_exchange(self, calls: Sequence[_Call]) -> list[Any]:
        first, second, routes = zip(*(one.arguments for one in calls), strict=True)
        if calls[0].name.endswith("dispatch"):
            check_one("number of experts", second, self.ranks)
            return self.exchange.dispatch(first, second[0], routes if routes[0] else None)
        along = second if second[0] is not None else None
        return self.exchange.combine(first, routes, along)

    def _end(self, reason: str) -> None:
        self._ended = self._ended or MeetingError(reason)
        self._changed.notify_all()


class Seat:
    """One rank's place at a `Meeting`."""

    def __init__(self, meeting: Meeting, rank: int, *, background: bool = False) -> None:
        self.meeting, self.rank, self.topology = meeting, rank, meeting.topology
        self._thread = ThreadPoolExecutor(1, f"rank {rank}") if background else None

    def soon(self, begin: Callable[[], Result]) -> Callable[[], Result]:
        """Do this now, or beside the caller's computation, in the order of the calls; see `Mover.soon`."""
        return self._thread.submit(begin).result if self._thread else now(begin)

    def dispatch(self, outgoing: Outgoing, experts: int, route: Any) -> tuple[Received, Any]:
        """This rank's part of `Exchange.dispatch`; `route` is the exchange's handle of an earlier one, or None."""
        name = "dispatch" if route is None else "cached dispatch"
        result: tuple[Received, Any] = self._call(
            name, (outgoing, experts, route), outgoing.tokens.device
        )
        return result

    def combine(self, outputs: Tensor, weights: Tensor | None, route: Any) -> Sums:
        """This rank's part of `Exchange.combine`."""
        name = "combine" if weights is None else "combine with weights"
        result: Sums = self._call(name, (outputs, weights, route), outputs.device)
        return result

    def _call(self, name: str, arguments: tuple[Any, ...], device: torch.device) -> Any:
        return self.meeting.call(self.rank, _Call(name, arguments, device, mark(device)))


def seat_of(exchange: Exchange | Seat) -> Seat:
    """The seat of the only rank of an exchange."""
    if isinstance(exchange, Seat):
        return exchange
    if len(exchange.ranks) != 1:
        raise InputError(
            "a Buffer is one rank's end; several ranks of a process have seats at a Meeting",
            f"{len(exchange.ranks)} ranks",
            "Meeting(exchange).of(rank)",
        )
    return Meeting(exchange).of(exchange.ranks[0])


def run_ranks(
    function: Callable[[int], Result], ranks: int, *, meetings: Sequence[Ends] = ()
) -> list[Result]:
    """`function(rank)` for every rank, each in a thread of its own; what they return, in their order.

    If one fails, the `meetings` end, so that no other waits for it; its error is raised, with a note of its rank, when
    all threads have ended. Backward passes run in the thread that asks for them, on a GPU too: there, one thread of
    autograd would otherwise wait in one rank's backward for that of another, which stands behind it.
    """
    failed: list[tuple[int, BaseException]] = []

    def run(rank: int) -> Result | None:
        try:
            with torch.autograd.set_multithreading_enabled(False):
                return function(rank)
        except BaseException as error:
            failed.append((rank, error))
            for meeting in meetings:
                meeting.end(f"rank {rank} failed: {error!r}")
            return None

    with ThreadPoolExecutor(ranks, "rank") as threads:
        results = list(threads.map(run, range(ranks)))
    if failed:
        rank, error = failed[0]
        error.add_note(f"This happened on rank {rank}.")
        raise error
    return results  # type: ignore[return-value]  # None only where something failed
