"""What to say when nobody can move: who stands where, and waits for whom."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from dualpipe_ref.comm.kernels.waiting import COUNT, HEAD, TAIL
from dualpipe_ref.comm.transport.emulated.places import kernel_frame, kernel_frames, trail

if TYPE_CHECKING:
    from dualpipe_ref.comm.transport.emulated.machine import Machine

MOST_LINES = 24
WORDS = {HEAD: "head", TAIL: "tail", COUNT: "count"}
HOW = {"warp": "waits for the lanes of its warp", "block": "waits for its block", "nap": "polls"}


class Deadlock(RuntimeError):  # noqa: N818
    """No thread of a launch will ever move again; the message lists where each waits."""


def describe(machine: Machine, why: str) -> str:
    """The sentence and a line for each place where threads wait, the most telling first."""
    places: dict[str, list[str]] = {}
    for thread in machine.threads:
        if not thread.dead:
            frame = kernel_frame(
                thread.gr_frame if thread is not machine.current else sys._getframe(1)
            )
            place = _place(frame, HOW.get(thread.waits, "runs")) if frame else "has not begun"
            places.setdefault(place, []).append(thread.who)
    lines = [
        f"  {place}: {people[0]}" + (f" and {len(people) - 1} more" if len(people) > 1 else "")
        for place, people in sorted(
            places.items(), key=lambda one: ("waits for rank" not in one[0], one[0])
        )
    ]
    more = len(lines) - MOST_LINES
    if more > 0:
        lines = [*lines[:MOST_LINES], f"  ... and {more} more places"]
    return "\n".join([f"{why}; {machine.live} threads have not ended:", *lines])


def _place(frame: Any, how: str) -> str:
    """Where a thread is, from the line of its role inwards, and whom it waits for."""
    who = next((found for one in kernel_frames(frame) if (found := _who(one))), None)
    place = f"{how} at {trail(frame)}"
    return f"{place}, {who}" if who else place


def _who(frame: Any) -> str | None:
    values = frame.f_locals
    who = values.get("who")
    if not hasattr(who, "_fields"):
        return None
    seen = (
        f"; sees {values['seen']}, at least {values['least']} expected"
        if "seen" in values and "least" in values
        else ""
    )
    return (
        f"role {who.role} of channel {who.channel} on rank {who.rank} waits for rank {who.peer}'s "
        f"{WORDS.get(who.word, 'word')}{seen}"
    )
