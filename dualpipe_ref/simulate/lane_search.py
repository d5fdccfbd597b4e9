"""The shortest order of an overlapped pair, exactly, and a bound that needs no search."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.lanes import (
    Lane,
    LaneCosts,
    Part,
    Piece,
    PieceTimes,
    backward_chain,
    forward_chain,
    needs,
    published_order,
    run_pair,
)

MOST_LAYERS = 8  # the search takes seconds there, and minutes at twice as many
NARROW = 300  # ways that the first look keeps at each step


def lower_bound(layers: int, costs: PieceTimes) -> Number:
    """No order is shorter: each lane by itself, with pieces that may be interrupted.

    Each piece has a head (the longest chain before it) and a tail (the longest after it). Among interruptible
    orders of one lane, running what has the longest tail is best (Jackson 1955; Carlier 1982).

    >>> lower_bound(4, LaneCosts()), lower_bound(4, LaneCosts(dispatch=2, combine=2))
    (24, 32)
    """
    heads, tails = _heads(layers, costs), _tails(layers, costs)
    bounds = []
    for lane in Lane:
        jobs = [
            (heads[piece], costs.of(piece), tails[piece]) for piece in heads if piece.lane is lane
        ]
        bounds.append(_interruptible(sorted(jobs)))
    return max(bounds)


def _heads(layers: int, costs: PieceTimes) -> dict[Piece, Number]:
    found: dict[Piece, Number] = {}
    for piece, before in needs(layers).items():  # what a piece waits for stands before it
        found[piece] = found[before] + costs.of(before) if before else 0
    return found


def _tails(layers: int, costs: PieceTimes) -> dict[Piece, Number]:
    wanted = needs(layers)
    found: dict[Piece, Number] = dict.fromkeys(wanted, 0)
    for piece, before in reversed(wanted.items()):
        if before:
            found[before] = max(found[before], found[piece] + costs.of(piece))
    return found


def _interruptible(jobs: list[tuple[Number, Number, Number]]) -> Number:
    """The latest end plus tail of (head, duration, tail) on one lane, the longest tail first."""
    now: Number = 0
    worst: Number = 0
    waiting: list[tuple[Number, Number]] = []  # (-tail, what is left)
    place = 0
    while place < len(jobs) or waiting:
        if not waiting:
            now = max(now, jobs[place][0])
        while place < len(jobs) and jobs[place][0] <= now:
            heapq.heappush(waiting, (-jobs[place][2], jobs[place][1]))
            place += 1
        tail, left = heapq.heappop(waiting)
        until = now + left
        if place < len(jobs) and jobs[place][0] < until:  # something else becomes ready meanwhile
            heapq.heappush(waiting, (tail, until - jobs[place][0]))
            now = jobs[place][0]
        else:
            now = until
            worst = max(worst, now - tail)
    return worst


class _State(NamedTuple):
    """How many pieces have been placed: of both chains, and of both kinds of weight gradients."""

    forward: int
    backward: int
    mlp: int
    attention: int


class _Moment(NamedTuple):
    """When each lane is free and each chain ready; a moment that is later in nothing is better."""

    compute: Number
    network: Number
    forward: Number
    backward: Number


class _Node(NamedTuple):
    moment: _Moment
    piece: Piece | None
    parent: _Node | None


def best_order(layers: int, costs: LaneCosts) -> dict[Lane, list[Piece]]:
    """A shortest order of the pair, found by looking at all that may be one.

    Pieces are placed one after another; of the ways to have placed the same pieces, those are kept
    that no other equals or beats in everything. Weight gradients of one part are alike, so they are
    placed in the order in which they arise. Raises `InputError` for more than 8 layers.

    >>> costs = LaneCosts(dispatch=2, combine=2, mlp=3)
    >>> run_pair(best_order(2, costs), costs).length, run_pair(published_order(2), costs).length, lower_bound(2, costs)
    (25, 26, 25)
    """
    require_int("layers", layers, 1)
    if layers > MOST_LAYERS:
        raise InputError(
            f"the search for the best order takes at most {MOST_LAYERS} layers",
            f"layers = {layers}",
            f"layers = {MOST_LAYERS}",
        )
    best, bound = published_order(layers), lower_bound(layers, costs)
    # A narrow look first: the shorter the order to beat, the less there is to look at.
    for width in (NARROW, None):
        length = run_pair(best, costs).length
        if length == bound:
            break
        if found := _search(layers, costs, length, width):
            best = _order_of(found)
    return best


def _search(layers: int, costs: LaneCosts, shorter_than: Number, width: int | None) -> _Node | None:
    """The last node of a shortest order, if one is shorter than that; among at most `width` ways a step."""
    chains = forward_chain(layers), backward_chain(layers)
    bound = _Bound(chains, _tails(layers, costs), costs)
    left = _Left(layers, costs)
    start = _Node(_Moment(0, 0, 0, 0), None, None)
    level: dict[_State, list[_Node]] = {_State(0, 0, 0, 0): [start]}
    for _ in range(10 * layers):
        following: dict[_State, list[_Node]] = {}
        for state, nodes in level.items():
            for after, piece in _moves(state, chains):
                rest = left.of(after)
                for node in nodes:
                    moment = _placed(node.moment, piece, costs.of(piece))
                    if bound(moment, rest, after) < shorter_than:
                        _keep(following.setdefault(after, []), _Node(moment, piece, node))
        level = following if width is None else _narrowed(following, width, left, bound)
    ends = [node for nodes in level.values() for node in nodes]
    return min(ends, key=lambda node: max(node.moment), default=None)


def _moves(
    state: _State, chains: tuple[list[Piece], list[Piece]]
) -> Iterator[tuple[_State, Piece]]:
    """What can be placed next, and what then has been."""
    forward, backward = chains
    if state.forward < len(forward):
        yield state._replace(forward=state.forward + 1), forward[state.forward]
    if state.backward < len(backward):
        yield state._replace(backward=state.backward + 1), backward[state.backward]
    layers = len(backward) // 4
    # The MLP's backward is the second piece of each layer, attention's the fourth.
    if state.mlp < (state.backward + 2) // 4:
        piece = Piece(Part.MLP, OpKind.W, layers - 1 - state.mlp)
        yield state._replace(mlp=state.mlp + 1), piece
    if state.attention < state.backward // 4:
        piece = Piece(Part.ATTENTION, OpKind.W, layers - 1 - state.attention)
        yield state._replace(attention=state.attention + 1), piece


def _placed(moment: _Moment, piece: Piece, duration: Number) -> _Moment:
    """The moment after a piece starts as early as its lane and its chain allow.

    A weight gradient comes after its own backward on the same lane, so it is ready when the lane is.
    """
    on_compute = piece.lane is Lane.COMPUTE
    free = moment.compute if on_compute else moment.network
    if piece.kind is OpKind.W:
        return moment._replace(compute=free + duration)
    is_forward = piece.kind is OpKind.F
    end = max(free, moment.forward if is_forward else moment.backward) + duration
    moment = moment._replace(forward=end) if is_forward else moment._replace(backward=end)
    return moment._replace(compute=end) if on_compute else moment._replace(network=end)


class _Left:
    """How much of each lane is still to come."""

    def __init__(self, layers: int, costs: LaneCosts) -> None:
        self._chains = [
            _sums(chain, costs) for chain in (forward_chain(layers), backward_chain(layers))
        ]
        self._weights = [costs.of(Piece(part, OpKind.W, 0)) for part in (Part.MLP, Part.ATTENTION)]
        self._layers = layers

    def of(self, state: _State) -> tuple[Number, Number]:
        """(computation, communication)."""
        forward, backward = self._chains[0][state.forward], self._chains[1][state.backward]
        weights = (self._layers - state.mlp) * self._weights[0]
        weights += (self._layers - state.attention) * self._weights[1]
        return forward[0] + backward[0] + weights, forward[1] + backward[1]


def _sums(chain: list[Piece], costs: LaneCosts) -> list[tuple[Number, Number]]:
    """For each place, what of the chain is left from there on either lane."""
    sums: list[tuple[Number, Number]] = [(0, 0)]
    for piece in reversed(chain):
        compute, network = sums[-1]
        if piece.lane is Lane.COMPUTE:
            sums.append((compute + costs.of(piece), network))
        else:
            sums.append((compute, network + costs.of(piece)))
    return sums[::-1]


class _Bound:
    """How long an order becomes at least."""

    def __init__(
        self,
        chains: tuple[list[Piece], list[Piece]],
        tails: dict[Piece, Number],
        costs: LaneCosts,
    ) -> None:
        # For each place of a chain, what follows from there on; nothing at its end.
        self._rest = [[*(costs.of(piece) + tails[piece] for piece in chain), 0] for chain in chains]

    def __call__(self, moment: _Moment, rest: tuple[Number, Number], state: _State) -> Number:
        return max(
            moment.compute + rest[0],
            moment.network + rest[1],
            moment.forward + self._rest[0][state.forward],
            moment.backward + self._rest[1][state.backward],
        )


def _narrowed(
    level: dict[_State, list[_Node]], width: int, left: _Left, bound: _Bound
) -> dict[_State, list[_Node]]:
    """The most promising of all nodes."""
    ranked = sorted(
        (bound(node.moment, left.of(state), state), number, state, node)
        for number, (state, node) in enumerate(
            (state, node) for state, nodes in level.items() for node in nodes
        )
    )
    kept: dict[_State, list[_Node]] = {}
    for _, _, state, node in ranked[:width]:
        kept.setdefault(state, []).append(node)
    return kept


def _keep(nodes: list[_Node], new: _Node) -> None:
    """Add a node unless one is as good in everything; drop those that it beats."""
    if any(all(a <= b for a, b in zip(old.moment, new.moment, strict=True)) for old in nodes):
        return
    nodes[:] = [
        old for old in nodes if not all(a <= b for a, b in zip(new.moment, old.moment, strict=True))
    ]
    nodes.append(new)


def _order_of(node: _Node | None) -> dict[Lane, list[Piece]]:
    order: dict[Lane, list[Piece]] = {lane: [] for lane in Lane}
    while node and node.piece:
        order[node.piece.lane].insert(0, node.piece)
        node = node.parent
    return order
