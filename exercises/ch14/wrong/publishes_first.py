# rejected by rings: the target may take the slot before anything is in it

from __future__ import annotations

from fractions import Fraction

Wanted = list[list[int]]  # for each token of a sender the ranks that want it, in order


def prefixes(wanted: Wanted, nodes: int, gpus: int, channels: int) -> tuple:
    to_rank = [[0] * channels for _ in range(nodes * gpus)]
    to_node = [[0] * channels for _ in range(nodes)]
    share = _share(wanted, channels)
    for token, ranks in enumerate(wanted):
        for channel in range(token // share, channels):
            for rank in ranks:
                to_rank[rank][channel] += 1
            for node in {rank // gpus for rank in ranks}:
                to_node[node][channel] += 1
    return to_rank, to_node


def first_rows(to_rank: list, rank: int) -> list:
    found, before = [], 0
    for of_source in to_rank:
        counts = of_source[rank]
        found.append([before, *(before + count for count in counts[:-1])])
        before += counts[-1]
    return found


def messages(wanted: Wanted, nodes: int, gpus: int, channels: int) -> list:
    found: list = [[[] for _ in range(nodes)] for _ in range(channels)]
    share = _share(wanted, channels)
    for token, ranks in enumerate(wanted):
        for node in range(nodes):
            mask = sum(1 << rank % gpus for rank in ranks if rank // gpus == node)
            if mask:
                found[token // share][node].append((token, mask))
    return found


def forward(state: object, target: int, ring: int, arrived: list, head: int) -> tuple:
    passed, sent = state or ([0] * len(arrived), 0)
    operations: list = []
    for node, masks in enumerate(arrived):
        while passed[node] in masks:
            counter = passed[node]
            if masks[counter] >> target & 1:
                if sent - head == ring:
                    break  # the receiver has to take something first
                operations.append(("publish", sent + 1))
                operations.append(("copy", node, counter, sent % ring))
                sent += 1
            passed[node] += 1
            operations.append(("passed", node, passed[node]))
    return (passed, sent), operations


def rounded(number: Fraction, bits: int) -> Fraction:
    if not number:
        return number
    # The unit in the last place: with it the whole part has exactly `bits` bits.
    unit = Fraction(1)
    while abs(number) >= unit * 2**bits:
        unit *= 2
    while abs(number) < unit * 2 ** (bits - 1):
        unit /= 2
    return round(number / unit) * unit


def combined(rows: list, gpus: int, bits: int) -> Fraction:
    by_node: dict[int, Fraction] = {}
    for rank, number in sorted(rows):
        node = rank // gpus
        by_node[node] = rounded(by_node.get(node, Fraction(0)) + number, 24)
    total = Fraction(0)
    for node in sorted(by_node):
        total = rounded(total + rounded(by_node[node], bits), 24)
    return rounded(total, bits)


def _share(wanted: Wanted, channels: int) -> int:
    return max(1, -(-len(wanted) // channels))
