# rejected by equal: the dispatch starts before the attention that makes its tokens

from __future__ import annotations


def overlapped_forward_backward(layers: int) -> list[tuple]:
    steps: list[tuple] = []

    def add(action: str, part: str, kind: str, layer: int) -> None:
        steps.append((action, part, kind, layer))

    add("start", "combine", "I", layers - 1)
    for layer in range(layers):
        other = layers - 1 - layer
        if layer > 0:
            add("wait", "combine", "F", layer - 1)
        add("start", "dispatch", "F", layer)
        add("run", "attention", "F", layer)
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
    add("wait", "combine", "F", layers - 1)
    return steps
