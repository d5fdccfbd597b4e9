"""What a rank holds, in the few groups that pictures show. Standard library only."""

from __future__ import annotations

from dualpipe_ref.plot.palette import Palette
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.footprint import GRADIENTS, LASTING, PARAMETERS, PENDING, STATES, Level

GB = 10**9
ACTIVATIONS = "activations"
# The groups from the bottom up, and the pattern that tells each apart without its colour.
GROUPS = {
    PARAMETERS: "other",
    GRADIENTS: "reserved",
    STATES: "hidden",
    PENDING: "waiting",
    ACTIVATIONS: "useful",
}


def groups_of(level: Level) -> dict[str, int]:
    """Bytes by group; messages and workspace count as activations.

    >>> groups_of(Level(0, {"parameters": 5, "norms": 2, "messages": 1}))
    {'parameters': 5, 'gradients': 0, 'optimizer states': 0, 'waits for W': 0, 'activations': 3}
    """
    named = {kind: level.kinds.get(kind, 0) for kind in (*LASTING, PENDING)}
    return {**named, ACTIVATIONS: level.total - sum(named.values())}


def fills(colours: Palette) -> dict[str, str]:
    """The colour of each group."""
    return {
        PARAMETERS: colours.fill(OpKind.W),
        GRADIENTS: colours.fill(OpKind.W, 1),
        STATES: colours.idle,
        PENDING: colours.fill(OpKind.I),
        ACTIVATIONS: colours.fill(OpKind.F),
    }
