"""Which SM ran communication, which computation: from what the blocks themselves wrote down. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from dualpipe_ref.schedule.errors import InputError, require_int

COMMUNICATION, COMPUTE, BOTH, NEITHER = "communication", "computation", "both", "neither"
# What stands in a record until somebody writes it.
NOTHING = -1


class Ran(NamedTuple):
    """One block: its SM, and from when to when it ran, in nanoseconds of the GPU's clock."""

    sm: int
    began: int
    ended: int


class SmMap(NamedTuple):
    """The role of each of a GPU's SMs, what the driver had promised (`given`), and the spread of the starts.

    `together` are the SMs on which a block of communication and one of computation ran at the same time.
    """

    roles: tuple[str, ...]
    together: tuple[int, ...]
    spread_ns: int

    def count(self, role: str) -> int:
        return self.roles.count(role)

    def sms(self, role: str) -> list[int]:
        """The SMs with a role."""
        return [sm for sm, one in enumerate(self.roles) if one == role]

    @property
    def is_apart(self) -> bool:
        """Whether no SM ran both."""
        return self.count(BOTH) == 0

    def __str__(self) -> str:
        """In words.

        >>> print(sm_map(4, [Ran(0, 0, 9)], [Ran(1, 0, 9), Ran(2, 0, 9)]))
        communication on 1 SM, computation on 2, both on 0, neither on 1
        """
        first = self.count(COMMUNICATION)
        return (
            f"communication on {first} SM{'' if first == 1 else 's'}, computation on "
            f"{self.count(COMPUTE)}, both on {self.count(BOTH)}, neither on {self.count(NEITHER)}"
        )


def sm_map(sms: int, communication: Sequence[Ran], compute: Sequence[Ran]) -> SmMap:
    """The map of a GPU with `sms` SMs. Raises `InputError` for an SM that it does not have and a block that ended early.

    >>> found = sm_map(3, [Ran(0, 10, 20), Ran(2, 10, 20)], [Ran(1, 5, 30), Ran(2, 25, 30)])
    >>> found.roles, found.together
    (('communication', 'computation', 'both'), ())
    """
    require_int("sms", sms, 1)
    for one in (*communication, *compute):
        _check(one, sms)
    first, second = {one.sm for one in communication}, {one.sm for one in compute}
    roles = [_role(sm in first, sm in second) for sm in range(sms)]
    began = [one.began for one in communication]
    return SmMap(
        tuple(roles),
        tuple(sm for sm in range(sms) if _together(sm, communication, compute)),
        max(began) - min(began) if began else 0,
    )


def kept(found: SmMap) -> dict[str, list[int]]:
    """A map as results files keep it: the SMs of each role but computation, which are most of them.

    >>> kept(sm_map(4, [Ran(0, 0, 9)], [Ran(1, 0, 9), Ran(2, 0, 9)]))
    {'communication': [0], 'both': [], 'neither': [3]}
    """
    return {role: found.sms(role) for role in (COMMUNICATION, BOTH, NEITHER)}


def roles_of(written: Mapping[str, Sequence[int]], sms: int) -> list[str]:
    """The role of each SM again, for `plot.draw_sm_map`. Raises `InputError` for SMs that are not there or stand twice.

    >>> roles_of({"communication": [0], "both": [], "neither": [3]}, sms=4)
    ['communication', 'computation', 'computation', 'neither']
    """
    roles = [COMPUTE] * require_int("sms", sms, 1)
    for role, some in written.items():
        for sm in some:
            if not 0 <= sm < sms or roles[sm] != COMPUTE:
                raise InputError(f"each SM from 0 to {sms - 1} has one role", f"SM {sm}: {role}")
            roles[sm] = role
    return roles


def ran(records: Iterable[Sequence[Sequence[int]]]) -> list[Ran]:
    """Of each block its SM, the first begin and the last end of its warps, as `kernels.who_ran` has them write it down.

    `records` are [blocks, warps, words]. Raises `InputError` where a warp wrote nothing, and where warps of one block
    were on several SMs, which no GPU does: then somebody else wrote there.

    >>> ran([[[4, 100, 200], [4, 101, 250]]])
    [Ran(sm=4, began=100, ended=250)]
    """
    return [_of_block(block, warps) for block, warps in enumerate(records)]


def _of_block(block: int, warps: Sequence[Sequence[int]]) -> Ran:
    for warp, (sm, began, ended, *_) in enumerate(warps):
        if NOTHING in (sm, began, ended):
            raise InputError(
                "each warp writes down its SM, its begin and its end",
                f"{sm}, {began}, {ended} of warp {warp} of block {block}",
            )
    sms = sorted({words[0] for words in warps})
    if len(sms) > 1:
        raise InputError("a block stays on its SM", f"block {block} on SMs {sms}")
    return Ran(sms[0], min(words[1] for words in warps), max(words[2] for words in warps))


def _role(communicates: bool, computes: bool) -> str:
    if communicates:
        return BOTH if computes else COMMUNICATION
    return COMPUTE if computes else NEITHER


def _together(sm: int, some: Sequence[Ran], others: Sequence[Ran]) -> bool:
    here = [one for one in others if one.sm == sm]
    return any(
        one.began < other.ended and other.began < one.ended
        for one in some
        if one.sm == sm
        for other in here
    )


def _check(one: Ran, sms: int) -> None:
    if not 0 <= one.sm < sms:
        raise InputError(f"the GPU has the SMs 0 to {sms - 1}", f"SM {one.sm}")
    if one.ended < one.began:
        raise InputError(
            "a block ends after it began", f"{one.began} to {one.ended} on SM {one.sm}"
        )
