"""An order of a pair as far as it runs, and who waits for whom where it stops. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, Order, PairRun, Piece, needs, run_pair


@dataclass(frozen=True)
class Stop:
    """Why an order stops: the rule in words, and of each lane that stops its piece, with what that waits for."""

    reason: str
    waits: tuple[tuple[Piece, Piece], ...]

    @property
    def sentences(self) -> list[str]:
        """Who waits for whom."""
        return [
            f"{piece.lane.capitalize()} stops before {piece}. That waits for {before}, which stands"
            f" {'behind it' if before.lane is piece.lane else f'further on in {before.lane}'}."
            for piece, before in self.waits
        ]


def run_as_far(order: Order, costs: LaneCosts) -> tuple[PairRun, Stop | None]:
    """The run of an order, or of its beginning and why there is no more.

    Raises `InputError` for an order that lacks a piece or has one twice.

    >>> from dualpipe_ref.simulate.lanes import published_order
    >>> order = published_order(1)
    >>> order[Lane.NETWORK].reverse()
    >>> run, stop = run_as_far(order, LaneCosts())
    >>> print(stop.sentences[1])
    Communication stops before combine(F) of layer 0. That waits for MLP(F) of layer 0, which stands further on in computation.
    """
    try:
        return run_pair(order, costs), None
    except InputError as error:
        if not _is_complete(order):
            raise
        return _beginning(order, costs, str(error))


def _is_complete(order: Order) -> bool:
    """Whether each piece of all layers is there once, on its lane."""
    given = [piece for lane in Lane for piece in order.get(lane, ())]
    wanted = needs(1 + max((piece.layer for piece in given), default=0))
    placed = all(piece.lane is lane for lane in Lane for piece in order.get(lane, ()))
    return placed and len(given) == len(wanted) and set(given) == set(wanted)


def _beginning(order: Order, costs: LaneCosts, reason: str) -> tuple[PairRun, Stop]:
    """What runs before the ring: the same as in every order that begins so and goes on well."""
    given = [piece for lane in Lane for piece in order[lane]]
    wanted = needs(1 + max(piece.layer for piece in given))
    queues = {lane: list(order[lane]) for lane in Lane}
    ran: dict[Lane, list[Piece]] = {lane: [] for lane in Lane}
    done: set[Piece | None] = {None}
    while ready := [lane for lane in Lane if queues[lane] and wanted[queues[lane][0]] in done]:
        for lane in ready:
            ran[lane].append(queues[lane].pop(0))
            done.add(ran[lane][-1])
    for piece in wanted:  # each of them after what it waits for
        if piece not in done:
            ran[piece.lane].append(piece)
    spans = run_pair(ran, costs).spans
    waits = []
    for queue in queues.values():
        before = wanted[queue[0]] if queue else None
        if before:
            waits.append((queue[0], before))
    return PairRun({piece: span for piece, span in spans.items() if piece in done}), Stop(
        reason, tuple(waits)
    )
