# rejected by bubble: every pair runs one after the other: it idles less, but nothing hides the messages

from __future__ import annotations


def dualpipe(rank: int, ranks: int, microbatches: int) -> list[tuple]:
    half, n = ranks // 2, microbatches // 2
    h = min(rank, ranks - 1 - rank)
    near, far = (0, 1) if rank < half else (1, 0)
    to_middle = half - h - 1
    ops: list[tuple] = []
    forwards, backwards, waiting = [0, 0], [0, 0], []

    def take(counters: list[int], slot: int) -> tuple[int, int]:
        counters[slot] += 1
        return slot, counters[slot] - 1

    def forward(slot: int) -> None:
        ops.append(("F", *take(forwards, slot)))

    def backward(slot: int) -> None:
        ops.append(("B", *take(backwards, slot)))

    def backward_input(slot: int) -> None:
        waiting.append(take(backwards, slot))
        ops.append(("I", *waiting[-1]))

    def weight() -> None:
        ops.append(("W", *waiting.pop(0)))

    def pair(one: int, other: int) -> None:
        forward(one)
        backward(other)

    for _ in range(2 * to_middle):
        forward(near)
    for _ in range(h + 1):
        forward(near)
        forward(far)
    for _ in range(to_middle):
        backward_input(far)
        weight()
        forward(far)
    for turn in range(n - 2 * half + h + 1):
        if turn == 0 and to_middle == 0:
            forward(near)
            backward(far)
        else:
            pair(near, far)
        pair(far, near)
    for _ in range(to_middle):
        backward(far)
        pair(far, near)
    for turn in range(2 * h + 2):
        slot = near if turn % 2 else far
        if turn < h + 1:
            backward(slot)
        else:
            backward_input(slot)
    for _ in range(to_middle):
        weight()
        backward_input(near)
    for _ in range(h + 1):
        weight()
    return ops
