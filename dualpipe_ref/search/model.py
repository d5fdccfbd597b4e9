"""The search as constraints: intervals of time on each rank, and what must come before what.

All micro-batches of a direction are alike, so it loses nothing to ask that each stage runs its forwards in
the order of their numbers, and its I and W too: given the times of any schedule, hand the k-th start
of each stage to the k-th micro-batch. Nothing then waits longer, since the k-th to be ready is ready no later than whoever
had that start, and memory counts chunks, not names. A pair stays one of two micro-batches, since a backward
needs its own forward to be over; but its W cannot be handed on, so only the W outside of pairs keep the order. A test compares with all orders, without that rule.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from dualpipe_ref.schedule.ir import Chunk, Op, OpKind, Schedule
from dualpipe_ref.search.problem import Problem
from dualpipe_ref.search.solver import cp_model
from dualpipe_ref.simulate.engine import simulate


class Work(NamedTuple):
    """The variables of one chunk: when its F, I (or B) and W start and end.

    A chunk whose backward stands in a pair has the pair's start and end for I and W. `weight` is None where
    backwards are whole. `ahead` and `behind` say whether its F, and its B, stand in a pair.
    """

    forward: tuple[Any, Any]
    backward: tuple[Any, Any]
    weight: tuple[Any, Any] | None
    ahead: Any
    behind: Any


Key = tuple[int, int, int]  # rank, slot, micro-batch


class Model:
    """A `Problem` as a CP-SAT model; `order(value)` reads the op lists of a solution."""

    def __init__(self, problem: Problem, known: Schedule | None = None) -> None:
        self.problem, self.cost = problem, problem.whole_costs()
        self.cp = cp_model.CpModel()
        self.placement = problem.held_stages()
        self.n = problem.microbatches // self.placement.directions
        self.pairs: dict[tuple[Key, Key], Any] = {}
        longest = self.cost["F"] + self.cost["I"] + self.cost["W"] + self.cost["B"]
        self.horizon = problem.microbatches * self.placement.stages * longest
        self.makespan = self.cp.new_int_var(0, self.horizon, "makespan")
        self.chunks: dict[Key, Work] = {}
        for rank in range(problem.ranks):
            for slot in range(self.placement.slots):
                for k in range(self.n):
                    self.chunks[rank, slot, k] = self._work((rank, slot, k))
        for rank in range(problem.ranks):
            self._pair(rank)
            self._one_at_a_time(rank)
            self._memory(rank)
        self._along_the_model()
        self._in_order()
        self.cp.minimize(self.makespan)
        if known is not None:
            self._start_from(known)

    def _time(self, name: str) -> Any:
        return self.cp.new_int_var(0, self.horizon, name)

    def _work(self, key: Key) -> Work:
        """Times of a chunk. In a pair F and B last as long as the pair, and W ends with it."""
        cp, cost, pairs = self.cp, self.cost, self.problem.pairs
        f, fe, b, be = (self._time(f"{name}{key}") for name in ("f", "fe", "b", "be"))
        ahead = cp.new_bool_var(f"ahead{key}") if pairs else 0
        behind = cp.new_bool_var(f"behind{key}") if pairs else 0
        cp.add(fe == f + cost["F"] + (cost["FB"] - cost["F"]) * ahead)
        split = self.problem.backward == "split"
        alone = cost["I"] if split else cost["B"]
        cp.add(be == b + alone + (cost["FB"] - alone) * behind)
        weight = None
        last = be
        if split:
            w, last = self._time(f"w{key}"), self._time(f"we{key}")
            weight = (w, last)
            if pairs:
                cp.add(w >= be).only_enforce_if(~behind)
                cp.add(last == w + cost["W"]).only_enforce_if(~behind)
                cp.add(w == be).only_enforce_if(behind)
                cp.add(last == be).only_enforce_if(behind)
            else:
                cp.add(w >= be)
                cp.add(last == w + cost["W"])
        cp.add(self.makespan >= last)
        return Work((f, fe), (b, be), weight, ahead, behind)

    def _pair(self, rank: int) -> None:
        """Who runs with whom. Where both are of one direction, the backward's micro-batch came before."""
        if not self.problem.pairs:
            return
        cp = self.cp
        own = {key: work for key, work in self.chunks.items() if key[0] == rank}
        direction = [direction for direction, _ in self.placement.homes[rank]]
        for one, ahead in own.items():
            for other, behind in own.items():
                if direction[one[1]] == direction[other[1]] and other[2] >= one[2]:
                    continue
                both = cp.new_bool_var(f"pair{one}{other}")
                self.pairs[one, other] = both
                cp.add(ahead.forward[0] == behind.backward[0]).only_enforce_if(both)
        for key, work in own.items():
            cp.add(sum(x for (one, _), x in self.pairs.items() if one == key) == work.ahead)
            cp.add(sum(x for (_, other), x in self.pairs.items() if other == key) == work.behind)

    def _one_at_a_time(self, rank: int) -> None:
        """A rank runs one op at a time, a pair being one: the interval of its F."""
        cp, cost, pairs = self.cp, self.cost, self.problem.pairs
        intervals, busy = [], []
        for key, work in self.chunks.items():
            if key[0] != rank:
                continue
            long = cost["F"] + (cost["FB"] - cost["F"]) * work.ahead
            start, end = work.forward
            intervals.append(cp.new_interval_var(start, long, end, f"fi{key}"))
            later = [("b", work.backward, cost["I"] if work.weight else cost["B"])]
            later += [("w", work.weight, cost["W"])] if work.weight else []
            for name, (start, end), alone in later:
                # Inside a pair it takes no time of its own.
                made = (
                    cp.new_optional_interval_var(start, alone, end, ~work.behind, f"{name}i{key}")
                    if pairs
                    else cp.new_interval_var(start, alone, end, f"{name}i{key}")
                )
                intervals.append(made)
            apart = cost["F"] + (cost["B"] if work.weight is None else cost["I"] + cost["W"])
            busy.append(apart + (cost["FB"] - apart) * work.behind)
        cp.add_no_overlap(intervals)
        self._bound(rank, sum(busy))

    def _bound(self, rank: int, busy: Any) -> None:
        """What a solver finds late: before the rank's first forward lie those of the stages before it, and after its
        last backward those on the way out. Only W that stand in no pair can come after that."""
        cost, split, pairs = self.cost, self.problem.backward == "split", self.problem.pairs
        forward, backward = cost["F"], cost["I"] if split else cost["B"]
        later: Any = 0
        if pairs:
            forward, backward = min(forward, cost["FB"]), min(backward, cost["FB"])
        if split:
            behind = [work.behind for key, work in self.chunks.items() if key[0] == rank]
            later = cost["W"] * (len(behind) - sum(behind))
        stages = [stage for _, stage in self.placement.homes[rank]]
        # The last of all backwards is followed by its W, unless it is in a pair.
        way_out = min(stages) * backward + (cost["W"] if split and not pairs else 0)
        entry = min(stages) * forward
        self.cp.add(self.makespan >= entry + busy - later + way_out)
        self.cp.add(self.makespan >= entry + busy)

    def _memory(self, rank: int) -> None:
        """Chunks held at once: from the start of the forward until the end of I, or of W."""
        for name in ("max_activations", "max_held"):
            caps = self.problem.caps(name)
            if caps is None:
                continue
            held = []
            for key, work in self.chunks.items():
                if key[0] != rank:
                    continue
                until_weight = name == "max_held" and work.weight
                end = work.weight[1] if until_weight and work.weight else work.backward[1]
                size = self._time(f"{name}{key}")
                held.append(self.cp.new_interval_var(work.forward[0], size, end, f"{name}i{key}"))
            self.cp.add_cumulative(held, [1] * len(held), caps[rank])

    def _along_the_model(self) -> None:
        """An F needs that of the stage before, a backward that of the stage after, on whichever rank."""
        for route in self.placement.routes:
            for k in range(self.n):
                line = [self.chunks[rank, slot, k] for rank, slot in route]
                for one, other in pairwise(line):
                    self.cp.add(other.forward[0] >= one.forward[1])
                    self.cp.add(one.backward[0] >= other.backward[1])
                self.cp.add(line[-1].backward[0] >= line[-1].forward[1])

    def _in_order(self) -> None:
        """Micro-batches of a stage in the order of their numbers; see the head of this file."""
        for (rank, slot, k), work in self.chunks.items():
            after = self.chunks.get((rank, slot, k + 1))
            if after is None:
                continue
            self.cp.add(after.forward[0] >= work.forward[1])
            self.cp.add(after.backward[0] >= work.backward[1])
        if self.problem.backward == "split":
            self._weights_in_order()

    def _weights_in_order(self) -> None:
        """The W of a stage in order too, but for those in pairs: a pair does its own I and W, whatever W still waits."""
        for (rank, slot, k), work in self.chunks.items():
            # Without pairs neighbours are enough; with them the next one that stands alone may be further on.
            last = self.n if self.problem.pairs else min(k + 2, self.n)
            for later in range(k + 1, last):
                after = self.chunks[rank, slot, later]
                assert work.weight is not None
                assert after.weight is not None
                rule = self.cp.add(after.weight[0] >= work.weight[1])
                if self.problem.pairs:
                    rule.only_enforce_if(~work.behind, ~after.behind)

    def _start_from(self, known: Schedule) -> None:
        """Times of a schedule that keeps the rules, as a first solution; no worse one is looked for."""
        timeline = simulate(known, self.problem.costs)
        scale = self.problem.scale()
        self.cp.add(self.makespan <= int(timeline.makespan * scale))
        hints: dict[int, tuple[Any, int]] = {}

        def hint(variable: Any, value: int) -> None:
            if not isinstance(variable, int):
                hints[variable.index] = (variable, value)

        for work in self.chunks.values():
            hint(work.ahead, 0)
            hint(work.behind, 0)
        paired = set()
        for rank, spans in enumerate(timeline.spans):
            for op, start, end in spans:
                begin, stop = int(start * scale), int(end * scale)
                if op.forward is not None:
                    work = self.chunks[rank, *op.forward]
                    hint(work.forward[0], begin)
                    hint(work.forward[1], stop)
                if op.backward is not None:
                    work = self.chunks[rank, *op.backward]
                    if op.kind is OpKind.W and work.weight:
                        hint(work.weight[0], begin)
                        hint(work.weight[1], stop)
                        continue
                    whole = op.kind is OpKind.B and work.weight is not None
                    middle = begin + self.cost["I"] if whole else stop
                    hint(work.backward[0], begin)
                    hint(work.backward[1], middle)
                    if work.weight and op.kind is not OpKind.I:
                        hint(work.weight[0], middle)
                        hint(work.weight[1], stop)
                if op.kind is OpKind.FB and op.forward and op.backward:
                    one, other = (rank, *op.forward), (rank, *op.backward)
                    paired.add((one, other))
                    hint(self.chunks[one].ahead, 1)
                    hint(self.chunks[other].behind, 1)
        for pair, variable in self.pairs.items():
            hint(variable, int(pair in paired))
        for variable, value in hints.values():
            self.cp.add_hint(variable, value)

    def order(self, value: Any) -> list[list[Op]]:
        """The op lists of a solution; `value` gives a variable's value in it."""
        partner = {one: other for (one, other), x in self.pairs.items() if value(x)}
        ops: list[list[tuple[int, Op]]] = [[] for _ in range(self.problem.ranks)]
        for key, work in self.chunks.items():
            rank, chunk = key[0], Chunk(*key[1:])
            if key in partner:
                other = Chunk(*partner[key][1:])
                ops[rank].append((value(work.forward[0]), Op(OpKind.FB, chunk, other)))
            else:
                ops[rank].append((value(work.forward[0]), Op(OpKind.F, chunk)))
            if not isinstance(work.behind, int) and value(work.behind):
                continue
            kind = OpKind.I if work.weight else OpKind.B
            ops[rank].append((value(work.backward[0]), Op(kind, None, chunk)))
            if work.weight:
                ops[rank].append((value(work.weight[0]), Op(OpKind.W, None, chunk)))
        return [[op for _, op in sorted(found, key=lambda item: item[0])] for found in ops]
