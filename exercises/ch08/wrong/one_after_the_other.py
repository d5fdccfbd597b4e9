# rejected by hidden: the whole forward, and then the whole backward: right, and nothing is hidden

from __future__ import annotations


def overlapped_forward_backward(layers: int) -> list[tuple]:
    steps: list[tuple] = []
    for layer in range(layers):
        steps.append(("run", "attention", "F", layer))
        steps.append(("start", "dispatch", "F", layer))
        steps.append(("wait", "dispatch", "F", layer))
        steps.append(("run", "MLP", "F", layer))
        steps.append(("start", "combine", "F", layer))
        steps.append(("wait", "combine", "F", layer))
    for layer in reversed(range(layers)):
        steps.append(("start", "combine", "I", layer))
        steps.append(("wait", "combine", "I", layer))
        steps.append(("run", "MLP", "I", layer))
        steps.append(("run", "MLP", "W", layer))
        steps.append(("start", "dispatch", "I", layer))
        steps.append(("wait", "dispatch", "I", layer))
        steps.append(("run", "attention", "I", layer))
        steps.append(("run", "attention", "W", layer))
    return steps
