"""What an answer to chapter 12 must do: share out warps, judge records, and find the number of SMs, each over many sizes."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Answer, Check, Fault
from dualpipe_ref.grading.numbers import in_words, is_close
from dualpipe_ref.hopper.reserve import nearest_split

from .launches import Launch, launches
from .offers import SPLITS, all_to_all, offers, sent_in_full, traffics
from .runs import Run, runs

NAMES = ("communication", "computation", "both", "both at once")


def _told(said: Any) -> str:
    text = repr(said)
    return text if len(text) < 130 else f"{text[:120]}..."


def _said_by(answer: Answer, launch: Launch) -> dict[tuple[int, int], Any]:
    """What every warp of a launch is told to do, by block and warp; lists are as good as tuples."""
    found = {}
    for block, warp in launch.places:
        said = call(answer, f"{launch.phase}_task", block, warp, *launch.arguments)
        found[block, warp] = tuple(said) if isinstance(said, list) else said
    return found


def tasks(answer: Answer) -> str | None:
    for launch in launches():
        due = launch.due
        owner: dict[Any, tuple[int, int]] = {}
        for (block, warp), said in _said_by(answer, launch).items():
            where = f"{launch}: warp {warp} of block {block}"
            if said is None:
                continue
            if said not in due or any(type(one) not in (str, int) for one in said):
                return f"{where} does {_told(said)}, which is no task of this launch"
            if said in owner:
                other, its = owner[said]
                return f"{where} does {said}, as warp {its} of block {other} does"
            if block // 2 != said[1]:
                return f"{where} does {said}, and the blocks of that channel are {2 * said[1]} and {2 * said[1] + 1}"
            if block % 2 != (not said[0].startswith("forwarder")):
                return f"{where} does {said}: forwarders and their coordinator share the even block, all others the odd one"
            owner[said] = block, warp
        for task in due:
            if task not in owner:
                return f"{launch}: no warp does {task}"
    return None


def turns(answer: Answer) -> str | None:
    for launch in launches()[:-2]:  # the last ones are large, and nothing new
        served: dict[tuple[str, int], Counter[int]] = {}
        for (_, warp), said in _said_by(answer, launch).items():
            if said is not None and launch.peers(said[0]):
                served.setdefault((said[0], warp), Counter())[said[2]] += 1
        for (role, warp), times in served.items():
            peers = launch.peers(role) or 1
            counts = [times[peer] for peer in range(peers)]
            if max(counts) - min(counts) > 1:
                return (
                    f"{launch}: over all channels warp {warp} as a {role} serves its {peers} peers"
                    f" {counts} times"
                )
    return None


def numbers(answer: Answer) -> str | None:
    for launch in launches():
        for (block, warp), said in _said_by(answer, launch).items():
            right = launch.right(block, warp)
            if said != right:
                return (
                    f"{launch}: warp {warp} of block {block} does {_told(said)}; the kernel's does"
                    f" {'nothing' if right is None else right}"
                )
    return None


def _judged(answer: Answer, run: Run) -> tuple[Any, ...]:
    said = call(answer, "which_sms", run.sms, run.given, run.communication, run.computation)
    if not isinstance(said, list | tuple) or len(said) != 5:
        raise Fault(f"{run}: which_sms returns {_told(said)}, not four lists and a verdict")
    return tuple(said)


def sms(answer: Answer) -> str | None:
    for run in runs():
        said = _judged(answer, run)
        for name, yours, its in zip(NAMES, said, run.lists(), strict=False):
            is_list = isinstance(yours, list | tuple) and all(type(one) is int for one in yours)
            if not is_list or list(yours) != its:
                return f"{run}, {run.in_full()}: SMs of {name}: you say {_told(yours)}, it is {its}"
    return None


def verdict(answer: Answer) -> str | None:
    for run in runs():
        said, (right, why) = _judged(answer, run)[4], run.verdict()
        if said != right:
            return f"{run}, {run.in_full()}: you say {_told(said)}, it is {right!r}: {why}"
    return None


def split(answer: Answer) -> str | None:
    for of, minimum, multiple in SPLITS:
        for asked in (*range(1, of, 1 + of // 64), *range(max(1, of - 9), of)):
            given = nearest_split(asked, of, minimum, multiple)
            said = call(answer, "split", asked, of, minimum, multiple)
            if not _are(said, (given, of - given)):
                return (
                    f"S = {of}, at least {minimum}, in multiples of {multiple}: asked for {asked} SMs"
                    f" you say {_told(said)}, {given} are given and {of - given} are left"
                )
    return None


def _are(said: Any, right: tuple[int, ...]) -> bool:
    return (
        isinstance(said, list | tuple)
        and all(type(one) is int for one in said)
        and tuple(said) == right
    )


def links(answer: Answer) -> str | None:
    for count, sent, of in traffics():
        said, right = call(answer, "all_to_all", count, sent, of), all_to_all(count, sent, of)
        if not is_close(said, right):
            return (
                f"S = {count}, {sent_in_full(sent, of)}: you say {in_words(said)} us, it is"
                f" {in_words(right)}"
            )
    return None


def best(answer: Answer) -> str | None:
    for offer in offers():
        said, right = call(answer, "break_even", *offer), offer.right()
        if not isinstance(said, list | tuple) or len(said) != 3:
            return f"{offer}: break_even returns {_told(said)}, not two numbers of SMs and a time"
        yours = said[0], said[2]
        if yours != (right[0], right[2]) or any(
            type(one) not in (int, type(None)) for one in yours
        ):
            return (
                f"{offer}, {offer.in_full()}: you say best {_told(said[0])}, least {_told(said[2])};"
                f" it is best {right[0]}, least {right[2]}{_pairs(offer, said)}"
            )
        if type(said[1]) not in (int, Fraction) or said[1] != right[1]:
            return (
                f"{offer}, {offer.in_full()}: your pair with {right[0]} SMs takes {in_words(said[1])} us,"
                f" it is {in_words(right[1])}"
            )
    return None


def _pairs(offer: Any, said: Any) -> str:
    """What the numbers of SMs in question come to."""
    asked = {one for one in (said[0], said[2], *offer.right()[::2]) if type(one) is int}
    times = [
        f"{one} SMs {float(offer.pair(one)):.6g}" for one in sorted(asked) if one in offer.legal
    ]
    return f" (pairs in us: {', '.join(times)}; one after the other {float(offer.alone):.6g})"


CHECKS = (
    Check(
        "tasks",
        "every task of every channel is done by one warp, no warp does two, and who shares memory shares a block",
        tasks,
        points=2,
        hint="channel = block // 2; the even block forwards; in each block go through the warps, role by role, and return None beyond the last",
    ),
    Check(
        "turns",
        "over the channels each warp serves each of its peers equally often",
        turns,
        needs=("tasks",),
        points=1,
        hint="add the channel before you take the remainder",
    ),
    Check(
        "numbers",
        "the warps are numbered as in the kernels",
        numbers,
        needs=("tasks",),
        points=1,
        hint="the warp in (warp + channel) mod L is counted from the first of the block, for receivers too",
    ),
    Check(
        "sms",
        "the SMs of each side, of both, and of both at the same time, from records alone",
        sms,
        points=1,
        hint="the SM stands in the record, the block's number says nothing; a record with a -1 is none; at the same time: on one SM, and each began before the other ended",
    ),
    Check(
        "verdict",
        "apart only if nothing speaks against it and all four conditions hold",
        verdict,
        needs=("sms",),
        points=2,
        hint="first what disproves it, whatever is missing; then records, SMs, enough blocks of computation, and a witness for every block of communication",
    ),
    Check(
        "split",
        "the next legal number, the largest one where that would leave nothing",
        split,
        points=1,
        hint="round up to the multiple, then look whether an SM is left",
    ),
    Check(
        "links",
        "the slower of both links, with what so many SMs reach of each",
        links,
        points=1,
        hint="bytes / (GB/s x 1000) are microseconds; look for the two points between which the number of SMs lies",
    ),
    Check(
        "break even",
        "the shortest pair by the fewest SMs, and the fewest that gain, for every legal number of SMs",
        best,
        needs=("links",),
        points=1,
        hint="computation has S - n SMs in a pair, and all of them when it is alone, as communication has then",
    ),
)
