"""What combine takes over from dispatch: which copy travelled under which ring counter, and where rows begin.

Both directions walk the same tokens in the same order, so a counter of dispatch is the place of the same copy in
combine's ring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dualpipe_ref.comm.protocol.dispatch import Dispatch
from dualpipe_ref.comm.protocol.operations import ENDLESS
from dualpipe_ref.comm.protocol.world import Records


def encoded(heads: Sequence[int]) -> tuple[int, ...]:
    """Counters with -1 for "not here" made into -next-1: I need nothing, and all before `next` may be freed.

    `next` is the nearest later counter, or endless. Without it a lane in which a warp never needs anything would hold
    its slots for ever.

    >>> encoded([-1, 0, -1, -1, 1])
    (-1, 0, -2, -2, 1)
    >>> encoded([0, -1]) == (0, -ENDLESS - 1)
    True
    """
    following, found = ENDLESS, []
    for head in reversed(heads):
        if head >= 0:
            following = head
        found.append(head if head >= 0 else -following - 1)
    return tuple(reversed(found))


def freed_before(head: int) -> int:
    """Up to which counter an encoded head lets slots go."""
    return head if head >= 0 else -head - 1


@dataclass(frozen=True)
class Handle:
    """What the roles of a finished dispatch recorded, as combine reads it. Made by `handle_of`.

    * `sent[rank, channel]`: for each token its counter in each node's ring, -1 where it did not go.
    * `forwarded[rank, channel, node]`: for each message of a node its counter for each GPU, -1 likewise.
    * `first_row[rank, source, channel]`: where the rows from a source begin that came through a channel.
    """

    sent: dict[tuple[int, int], tuple[tuple[int, ...], ...]]
    forwarded: dict[tuple[int, int, int], tuple[tuple[int, ...], ...]]
    first_row: dict[tuple[int, int, int], int]


def handle_of(dispatch: Dispatch, records: Records) -> Handle:
    """The handle that a finished run of dispatch left behind."""
    sent = {
        key: tuple(heads for _, heads in sorted(one for record in mine for one in records[record]))
        for key, mine in dispatch.sent.items()
    }
    forwarded = {
        key: tuple(zip(*(records[record] for record in mine), strict=True))
        for key, mine in dispatch.forwarded.items()
    }
    first_row = {
        (rank, peer, channel): start
        for (rank, channel), mine in dispatch.taken.items()
        for local, record in enumerate(mine)
        for peer, start in zip(
            dispatch.rail(dispatch.rank(0, local)), records[record][0], strict=True
        )
    }
    return Handle(sent, forwarded, first_row)


def encoded_lanes(rows: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """The pre-pass of combine: `encoded` down each lane of a table [token][lane]."""
    return tuple(zip(*(encoded(lane) for lane in zip(*rows, strict=True)), strict=True))
