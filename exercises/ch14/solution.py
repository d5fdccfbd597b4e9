"""Each token once over RDMA: where its rows lie, what is sent, who hands it on, and how it is added up."""

from __future__ import annotations

from fractions import Fraction

Wanted = list[list[int]]  # for each token of a sender the ranks that want it, in order


def prefixes(wanted: Wanted, nodes: int, gpus: int, channels: int) -> tuple:
    """[rank][channel] and [node][channel]: how many tokens go there up to and with this channel."""
    # skeleton: begin
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
    # skeleton: end


def first_rows(to_rank: list, rank: int) -> list:
    """[source][channel]: the row of `rank` at which what comes from there through that channel begins.

    `to_rank[source]` is the first of what `prefixes` says of that source.
    """
    # skeleton: begin
    found, before = [], 0
    for of_source in to_rank:
        counts = of_source[rank]
        found.append([before, *(before + count for count in counts[:-1])])
        before += counts[-1]
    return found
    # skeleton: end


def messages(wanted: Wanted, nodes: int, gpus: int, channels: int) -> list:
    """[channel][node]: what a sender puts into that ring, in order, as (token, mask of the GPUs there)."""
    # skeleton: begin
    found: list = [[[] for _ in range(nodes)] for _ in range(channels)]
    share = _share(wanted, channels)
    for token, ranks in enumerate(wanted):
        for node in range(nodes):
            mask = sum(1 << rank % gpus for rank in ranks if rank // gpus == node)
            if mask:
                found[token // share][node].append((token, mask))
    return found
    # skeleton: end


def forward(state: object, target: int, ring: int, arrived: list, head: int) -> tuple:
    """One turn of the forwarder to GPU `target`: (state for the next turn, operations)."""
    # skeleton: begin
    passed, sent = state or ([0] * len(arrived), 0)
    operations: list = []
    for node, masks in enumerate(arrived):
        while passed[node] in masks:
            counter = passed[node]
            if masks[counter] >> target & 1:
                if sent - head == ring:
                    break  # the receiver has to take something first
                operations.append(("copy", node, counter, sent % ring))
                sent += 1
                operations.append(("publish", sent))
            passed[node] += 1
            operations.append(("passed", node, passed[node]))
    return (passed, sent), operations
    # skeleton: end


def rounded(number: Fraction, bits: int) -> Fraction:
    """The nearest number with so many significant bits; of two that are equally near the even one."""
    # skeleton: begin
    if not number:
        return number
    # The unit in the last place: with it the whole part has exactly `bits` bits.
    unit = Fraction(1)
    while abs(number) >= unit * 2**bits:
        unit *= 2
    while abs(number) < unit * 2 ** (bits - 1):
        unit /= 2
    return round(number / unit) * unit
    # skeleton: end


def combined(rows: list, gpus: int, bits: int) -> Fraction:
    """The sum of the rows [(rank, number)] of one token, which came in any order, in two levels."""
    # skeleton: begin
    by_node: dict[int, Fraction] = {}
    for rank, number in sorted(rows):
        node = rank // gpus
        by_node[node] = rounded(by_node.get(node, Fraction(0)) + number, 24)
    total = Fraction(0)
    for node in sorted(by_node):
        total = rounded(total + rounded(by_node[node], bits), 24)
    return rounded(total, bits)
    # skeleton: end


# skeleton: begin
def _share(wanted: Wanted, channels: int) -> int:
    """Tokens of a channel; the last ones may have fewer."""
    return max(1, -(-len(wanted) // channels))


# skeleton: end
