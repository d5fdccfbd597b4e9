"""What must come out, straight from the routing: rows of dispatch, ring positions for combine, sums in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dualpipe_ref.comm.protocol.routes import Routes
from dualpipe_ref.comm.protocol.world import Records

if TYPE_CHECKING:
    from dualpipe_ref.comm.protocol.combine import Combine
    from dualpipe_ref.comm.protocol.dispatch import Dispatch


def rows_of(routes: Routes, rank: int) -> list[tuple[int, int]]:
    """(source rank, token) of each row that a rank receives: by source, then by token.

    >>> from dualpipe_ref.comm.topology import Topology
    >>> rows_of(Routes(Topology(2, 1), 2, (((0, 1), (1,)), ((1,),))), rank=1)
    [(0, 0), (0, 1), (1, 0)]
    """
    return [
        (source, token)
        for source, mine in enumerate(routes.wanted)
        for token, ranks in enumerate(mine)
        if rank in ranks
    ]


def dispatch_fault(dispatch: Dispatch, records: Records) -> str | None:
    """What of a finished dispatch differs from the oracle, in words."""
    for rank in dispatch.ranks:
        expected = rows_of(dispatch.routes, rank)
        written: dict[int, tuple[int, int]] = {}
        for channel in dispatch.channels:
            for record in dispatch.taken[rank, channel]:
                for row, token in records[record][1:]:
                    if row in written:
                        return f"rank {rank}: row {row} is written twice"
                    written[row] = token.rank, token.token
        for row, one in enumerate(expected):
            if written.get(row) != one:
                return f"rank {rank}: row {row} holds {written.get(row)}, not {one}"
        if len(written) > len(expected):
            return f"rank {rank}: {len(written)} rows, not {len(expected)}"
    return None


def sum_of(routes: Routes, rank: int, token: int) -> tuple[tuple[int, ...], ...]:
    """In which order a token's rows are added: inside each node by GPU, then over nodes (`comm.reference`'s two levels)."""
    gpus = routes.topology.gpus_per_node
    return tuple(
        tuple(node * gpus + local for local in routes.locals_of(rank, token, node))
        for node in routes.nodes_of(rank, token)
    )


def combine_fault(combine: Combine, records: Records) -> str | None:
    """What of a finished combine differs from the oracle, in words."""
    for rank in combine.ranks:
        added: dict[int, tuple[int, int, object]] = {}
        for channel in combine.channels:
            for record in combine.added[rank, channel]:
                for token, row in records[record]:
                    if token in added:
                        return f"rank {rank}: token {token} is added up twice"
                    added[token] = row
        for token in range(len(combine.routes.tokens[rank])):
            expected = sum_of(combine.routes, rank, token)
            whole = (rank, token, expected) if expected else (-1, -1, ())
            if added.get(token) != whole:
                return f"rank {rank}: token {token} is the sum {added.get(token)}, not {whole}"
    return None
