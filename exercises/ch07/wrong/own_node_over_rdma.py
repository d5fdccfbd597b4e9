# rejected by bytes: the sender's own node costs RDMA too

from __future__ import annotations

from fractions import Fraction

Routing = list[list[int]]  # the experts of each token; -1 where a place is empty


def choose(scores: list, bias: list, k: int, nodes: int, limit: int) -> tuple[list[int], list]:
    choice = [score + more for score, more in zip(scores, bias, strict=True)]
    held = len(scores) // nodes

    def worth(node: int) -> Fraction:
        inside = sorted(choice[node * held : (node + 1) * held], reverse=True)
        return sum(inside[: max(1, k // limit)])

    best = sorted(range(nodes), key=worth, reverse=True)[:limit]
    allowed = [expert for expert in range(len(scores)) if expert // held in best]
    experts = sorted(allowed, key=lambda expert: choice[expert], reverse=True)[:k]
    total = sum(scores[expert] for expert in experts)
    return experts, [scores[expert] / total for expert in experts]


def counts(routing: Routing, nodes: int, gpus: int, experts: int) -> tuple:
    of_expert, of_rank, of_node = [0] * experts, [0] * (nodes * gpus), [0] * nodes
    for chosen in routing:
        ranks = _ranks(chosen, nodes * gpus, experts)
        for expert in chosen:
            if expert >= 0:
                of_expert[expert] += 1
        for rank in ranks:
            of_rank[rank] += 1
        for node in {rank // gpus for rank in ranks}:
            of_node[node] += 1
    return of_expert, of_rank, of_node


def places(routing: Routing, nodes: int, gpus: int, experts: int) -> list[list[int]]:
    seen, found = [0] * (nodes * gpus), []
    for chosen in routing:
        row = [-1] * (nodes * gpus)
        for rank in _ranks(chosen, nodes * gpus, experts):
            row[rank] = seen[rank]
            seen[rank] += 1
        found.append(row)
    return found


def starts(sent: list[list[int]]) -> list[list[int]]:
    before, found = [0] * len(sent), []
    for row in sent:
        found.append(before)
        before = [one + more for one, more in zip(before, row, strict=True)]
    return found


def bytes_over(
    rank: int, routing: Routing, nodes: int, gpus: int, experts: int, message: int
) -> tuple[int, int]:
    place = rank % gpus
    rdma = nvlink = 0
    for chosen in routing:
        ranks = _ranks(chosen, nodes * gpus, experts)
        rdma += len({one // gpus for one in ranks})
        nvlink += sum(one % gpus != place for one in ranks)
    return rdma * message, nvlink * message


def spread(nodes: int, gpus: int, experts: int, k: int, limit: int) -> tuple[Fraction, Fraction]:
    of_node, of_gpu = experts // nodes, experts // (nodes * gpus)
    pool = limit * of_node

    def reached(held: int) -> Fraction:
        missed = Fraction(1)
        for drawn in range(k):
            missed *= Fraction(pool - held - drawn, pool - drawn)
        return 1 - missed

    return limit * reached(of_node), limit * gpus * reached(of_gpu)


def _ranks(chosen: list[int], ranks: int, experts: int) -> set[int]:
    return {expert // (experts // ranks) for expert in chosen if expert >= 0}
