# rejected by break even: the fewest SMs that gain are taken to be the best ones

from __future__ import annotations

from fractions import Fraction


def dispatch_task(block: int, warp: int, gpus: int, senders: int) -> tuple | None:
    channel = block // 2
    peer = (warp + channel) % gpus
    if block % 2 == 0:
        if warp < gpus:
            return "forwarder", channel, peer
        return ("forwarder coordinator", channel) if warp == gpus else None
    if warp < senders:
        return "sender", channel, warp
    if warp == senders:
        return "sender coordinator", channel
    return ("receiver", channel, peer) if warp <= senders + gpus else None


def combine_task(
    block: int, warp: int, nodes: int, gpus: int, large_warp: int, receivers: int
) -> tuple | None:
    channel = block // 2
    if block % 2 == 0:
        forwarders = nodes * large_warp
        if warp < forwarders:
            node = (warp // large_warp + channel) % nodes
            return "forwarder", channel, node, warp % large_warp
        return ("forwarder coordinator", channel) if warp == forwarders else None
    if warp < gpus:
        return "sender", channel, (warp + channel) % gpus
    if warp < gpus + receivers:
        return "receiver", channel, warp - gpus
    return ("receiver coordinator", channel) if warp == gpus + receivers else None


def which_sms(sms: int, given: int, communication: list, computation: list) -> tuple:
    mine = [one for one in communication if -1 not in one]
    theirs = [one for one in computation if -1 not in one]
    first, second = {one[0] for one in mine}, {one[0] for one in theirs}
    at_once = {
        one[0] for one in mine for other in theirs if one[0] == other[0] and _together(one, other)
    }
    is_whole = len(mine) == len(communication) and len(theirs) == len(computation)
    if at_once:
        verdict = "shared"
    elif first & second:
        verdict = "in turns"
    elif (
        is_whole
        and len(first) == given
        and len(theirs) > sms - given
        and all(any(_together(one, other) for other in theirs) for one in mine)
    ):
        verdict = "apart"
    else:
        verdict = "not proven"
    return sorted(first), sorted(second), sorted(first & second), sorted(at_once), verdict


def split(asked: int, sms: int, minimum: int, multiple: int) -> tuple:
    given = max(minimum, -(-asked // multiple) * multiple)
    given = min(given, (sms - 1) // multiple * multiple)
    return given, sms - given


def all_to_all(sms: int, sent: tuple, links: dict) -> Fraction:
    over_rdma, over_nvlink = sent
    rdma = links["rdma"] * _share(sms, links["reach"])
    nvlink = min(links["nvlink"], sms * links["nvlink_of_an_sm"])
    return max(Fraction(over_rdma) / rdma, Fraction(over_nvlink) / nvlink) / 1000


def break_even(
    compute: Fraction, sent: tuple, links: dict, sms: int, minimum: int, multiple: int
) -> tuple:
    alone = compute + all_to_all(sms, sent, links)
    pairs = {
        given: max(compute * Fraction(sms, sms - given), all_to_all(given, sent, links))
        for given in range(minimum, sms, multiple)
    }
    best = min(pairs, key=lambda given: (pairs[given], given))
    least = best if pairs[best] < alone else None
    return best, pairs[best], least


def _together(one: list, other: list) -> bool:
    return one[1] < other[2] and other[1] < one[2]


def _share(sms: int, reach: list) -> Fraction:
    for place in range(1, len(reach)):
        (low, before), (high, after) = reach[place - 1 : place + 1]
        if sms <= high:
            return before + (after - before) * Fraction(sms - low, high - low)
    return Fraction(reach[-1][1])
