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
    backward_chain,
    forward_chain,
    needs,
    published_order,
    run_pair,
)

MOST_LAYERS = 8  # the search takes seconds there, and minutes at twice as many


def lower_bound(layers: int, costs: LaneCosts) -> Number:
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


def _heads(layers: int, costs: LaneCosts) -> dict[Piece, Number]:
    found: dict[Piece, Number] = {}
    for piece, before in needs(layers).items():  # what a piece waits for stands before it
        found[piece] = found[before] + costs.of(before) if before else 0
    return found


def _tails(layers: int, costs: LaneCosts) -> dict[Piece, Number]:
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
    (25, 26, 24)
    """
    require_int("layers", layers, 1)
    if layers > MOST_LAYERS:
        raise InputError(
            f"the search for the best order takes at most {MOST_LAYERS} layers",
            f"layers = {layers}",
            f"layers = {MOST_LAYERS}",
        )
    published = published_order(layers)
    length, bound = run_pair(published, costs).length, lower_bound(layers, costs)
    if length == bound:
        return published
    found = _search(layers, costs, length)
    return _order_of(found) if found else published


def _search(layers: int, costs: LaneCosts, shorter_than: Number) -> _Node | None:
    """The last node of a shortest order, if one is shorter than that."""
    chains = forward_chain(layers), backward_chain(layers)
    tails = _tails(layers, costs)
    left = _Left(layers, costs)
    level: dict[_State, list[_Node]] = {
        _State(0, 0, 0, 0): [_Node(_Moment(0, 0, 0, 0), None, None)]
    }
    for _ in range(10 * layers):
        following: dict[_State, list[_Node]] = {}
        for state, nodes in level.items():
            for after, piece in _moves(state, chains):
                rest = left.of(after)
                for node in nodes:
                    moment = _placed(node.moment, piece, costs.of(piece))
                    if _at_least(moment, rest, after, chains, tails, costs) < shorter_than:
                        _keep(following.setdefault(after, []), _Node(moment, piece, node))
        level = following
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


def _at_least(
    moment: _Moment,
    rest: tuple[Number, Number],
    state: _State,
    chains: tuple[list[Piece], list[Piece]],
    tails: dict[Piece, Number],
    costs: LaneCosts,
) -> Number:
    """How long the order becomes at least."""
    bound = max(moment.compute + rest[0], moment.network + rest[1], moment.forward, moment.backward)
    for chain, done, ready in zip(chains, state[:2], moment[2:], strict=True):
        if done < len(chain):
            bound = max(bound, ready + costs.of(chain[done]) + tails[chain[done]])
    return bound


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
