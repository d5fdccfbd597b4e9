# rejected by equal: attention does not wait for the combine of the layer before

from __future__ import annotations


def overlapped_forward_backward(layers: int) -> list[tuple]:
    steps: list[tuple] = []

    def add(action: str, part: str, kind: str, layer: int) -> None:
        steps.append((action, part, kind, layer))

    add("start", "combine", "I", layers - 1)
    for layer in range(layers):
        other = layers - 1 - layer
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
        if other > 0:
            add("start", "combine", "I", other - 1)
        add("run", "attention", "W", other)
    for layer in range(layers):
        add("wait", "combine", "F", layer)
    return steps
