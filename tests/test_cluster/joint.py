"""An independent simulation of a whole cluster: every GPU for itself, with a barrier in every op of those that exchange tokens."""

from __future__ import annotations

from dualpipe_ref.schedule.ir import Chunk, Op, OpKind
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.stage import StageTimes
from dualpipe_ref.simulate.cluster.step import message_time


def makespan(plan: Plan, times: StageTimes) -> int:
    """Nanoseconds until the last GPU is done."""
    side = max(plan.tensor, plan.expert_ranks)
    count = plan.gpus // (plan.pipeline * side)
    return max(_group(plan, times, number, side) for number in range(count))


def _group(plan: Plan, times: StageTimes, number: int, side: int) -> int:
    """One group: ops in any order that their needs allow, each GPU at its own time."""
    order, latency = plan.order, max(1, message_time(plan))
    homes, last = order.placement.homes, order.placement.stages - 1
    ends: dict[
        tuple[str, int, int, int], list[int]
    ] = {}  # what, direction, stage, micro-batch: by member
    free = [[0] * side for _ in range(plan.pipeline)]
    owner: dict[tuple[str, int, int, int], int] = {}
    place = [0] * plan.pipeline
    parts = [times.of_rank(order, rank) for rank in range(plan.pipeline)]

    def key(what: str, rank: int, chunk: Chunk, step: int = 0) -> tuple[str, int, int, int]:
        direction, stage = homes[rank][chunk.slot]
        return what, direction, stage + step, chunk.microbatch

    def needs(rank: int, op: Op) -> list[tuple[str, int, int, int]]:
        found = []
        if op.forward and homes[rank][op.forward.slot][1] > 0:
            found.append(key("F", rank, op.forward, -1))
        if op.backward and op.kind is not OpKind.W and homes[rank][op.backward.slot][1] < last:
            found.append(key("I", rank, op.backward, 1))
        return found

    while any(place[rank] < len(order.ops[rank]) for rank in range(plan.pipeline)):
        moved = False
        for rank in range(plan.pipeline):
            if place[rank] == len(order.ops[rank]):
                continue
            op, part = order.ops[rank][place[rank]], parts[rank][place[rank]]
            wanted = needs(rank, op)
            if any(one not in ends for one in wanted):
                continue
            done = []
            for member in range(side):
                gpu = (number * plan.pipeline + rank) * side + member
                start = free[rank][member]
                for one in wanted:
                    start = max(start, ends[one][member] + (latency if owner[one] != rank else 0))
                done.append(start + round(part.length * plan.slow.get(gpu, 1)))
            free[rank] = [max(done)] * side  # nobody leaves the last combine before all are there
            for what, chunk in (("F", op.forward), ("I", op.backward)):
                if chunk and not (what == "I" and op.kind is OpKind.W):
                    ends[key(what, rank, chunk)] = free[rank]
                    owner[key(what, rank, chunk)] = rank
            place[rank] += 1
            moved = True
        assert moved
    return max(max(one) for one in free)
