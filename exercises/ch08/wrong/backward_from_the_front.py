# rejected by equal: the backward goes through the layers in the order of the forward

from __future__ import annotations


def overlapped_forward_backward(layers: int) -> list[tuple]:
    steps: list[tuple] = []

    def add(action: str, part: str, kind: str, layer: int) -> None:
        steps.append((action, part, kind, layer))

    add("start", "combine", "I", 0)
    for layer in range(layers):
        other = layer
        if layer > 0:
            add("wait", "combine", "F", layer - 1)
        add("run", "attention", "F", layer)
        add("start", "dispatch", "F", layer)
        add("wait", "combine", "I", other)
        add("run", "MLP", "I", other)
        add("start", "dispatch", "I", other)
        add("run", "MLP", "W", other)
        add("wait", "dispatch", "F", layer)
        add("run", "MLP", "F", layer)
        add("start", "combine", "F", layer)
        add("wait", "dispatch", "I", other)
        add("run", "attention", "I", other)
        if other < layers - 1:
            add("start", "combine", "I", other + 1)
        add("run", "attention", "W", other)
    add("wait", "combine", "F", layers - 1)
    return steps
