"""What a launch raises whose waits did not end: who waited for whom, and what the counters were."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from dualpipe_ref.comm.kernels.waiting import COUNT, HEAD, TAIL

_WORDS = {HEAD: "head", TAIL: "tail", COUNT: "count"}
_OTHERS = {HEAD: "tail", TAIL: "head"}
# Who waits for something that has no channel.
NO_CHANNEL = -1
# Where these words stand in a record.
RANK, PEER = 3, 4


class Role(NamedTuple):
    """What a version's number of a role means: its `name`, and what it `awaits` of its peer."""

    name: str
    awaits: str


class CommTimeout(RuntimeError):  # noqa: N818 - named as the timeouts of Python are
    """A role of an all-to-all waited longer than allowed, so all roles of the launch gave up.

    The parts of the sentence are kept: `role` and `awaited` in words, `channel` (None where there is none), `rank` and
    `peer`, `word` ("head", "tail" or "count"), `seen`, `own`, `expected` and `seconds`; and `silent`, the ranks of other
    processes that did not say within a few seconds that they gave up, too: they never came, have ended, or had all that they needed.

    >>> roles = (Role("sender", "credit"), Role("forwarder", "messages"))
    >>> raise CommTimeout([1, 1, 3, 5, 1, TAIL, 7, 6, 8, 10**10], roles)
    Traceback (most recent call last):
    dualpipe_ref.comm.errors.CommTimeout: forwarder of channel 3 on rank 5 waited 10.0 s for messages of rank 1: tail was 7, at least 8 expected; head 6
    """

    def __init__(
        self, record: Sequence[int], roles: Sequence[Role], silent: Collection[int] = ()
    ) -> None:
        _, role, channel, rank, peer, word, seen, own, expected, nanoseconds = record[:10]
        seconds = nanoseconds / 1e9
        self.role, self.awaited = roles[role]
        self.channel = None if channel == NO_CHANNEL else channel
        self.rank, self.peer, self.word = rank, peer, _WORDS[word]
        self.seen, self.own, self.expected, self.seconds = seen, own, expected, seconds
        self.silent = tuple(silent)
        where = "" if self.channel is None else f" of channel {channel}"
        other = f"; {_OTHERS[word]} {own}" if word in _OTHERS else ""
        silence = f"; no word of rank {', '.join(map(str, self.silent))}" if self.silent else ""
        super().__init__(
            f"{self.role}{where} on rank {rank} waited {seconds:.1f} s for {self.awaited} of rank {peer}: "
            f"{self.word} was {seen}, at least {expected} expected{other}{silence}"
        )


def first_cause(
    records: Sequence[Sequence[int]], roles: Sequence[Role], asked: Collection[int]
) -> CommTimeout:
    """What to raise of the `records` of several processes, in the order of their times: the wait that others' waits came from.

    A rank that waits in vain keeps others waiting, who give up as well and name it. So a wait for a rank that did not give
    up is nearer to the cause than one for a rank that did; of several the first. `asked` are the ranks of other processes:
    those that said nothing are named at the end.

    >>> roles = (Role("receiver", "rows"),)
    >>> waits = [[1, 0, 0, 0, 1, TAIL, 0, 0, 1, 10**9], [1, 0, 0, 1, 2, TAIL, 0, 0, 1, 10**9]]
    >>> print(first_cause(waits, roles, asked=[1, 2]))
    receiver of channel 0 on rank 1 waited 1.0 s for rows of rank 2: tail was 0, at least 1 expected; head 0; no word of rank 2
    """
    gave_up = {one[RANK] for one in records}
    nearer = [one for one in records if one[PEER] not in gave_up]
    return CommTimeout(
        (nearer or records)[0], roles, [rank for rank in asked if rank not in gave_up]
    )
