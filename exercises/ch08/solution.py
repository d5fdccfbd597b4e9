"""A forward and a backward of different micro-batches that take turns on one device."""

from __future__ import annotations

# ("run", part, kind, layer) for "attention" and "MLP",
# ("start", part, kind, layer) and ("wait", part, kind, layer) for "dispatch" and "combine".
# The kind is "F", or "I" and "W" for the two halves of the backward; all-to-alls have no W.
Step = tuple


def overlapped_forward_backward(layers: int) -> list[Step]:
    """The steps of a whole forward and a whole backward of `layers` layers, numbered from 0."""
    # skeleton: begin
    steps: list[Step] = []

    def add(action: str, part: str, kind: str, layer: int) -> None:
        steps.append((action, part, kind, layer))

    add("start", "combine", "I", layers - 1)  # the gradient of the output is there
    for layer in range(layers):
        other = layers - 1 - layer  # the backward goes through the layers in reverse
        if layer > 0:
            add("wait", "combine", "F", layer - 1)
        add("run", "attention", "F", layer)  # beside combine(I)
        add("start", "dispatch", "F", layer)
        add("wait", "combine", "I", other)
        add("run", "MLP", "I", other)  # beside dispatch(F)
        add("start", "dispatch", "I", other)  # before W: the other ranks wait for this
        add("run", "MLP", "W", other)
        add("wait", "dispatch", "F", layer)
        add("run", "MLP", "F", layer)  # beside dispatch(I)
        add("start", "combine", "F", layer)
        add("wait", "dispatch", "I", other)
        add("run", "attention", "I", other)  # beside combine(F)
        if other > 0:
            add("start", "combine", "I", other - 1)
        add("run", "attention", "W", other)
    add("wait", "combine", "F", layers - 1)
    return steps
    # skeleton: end
