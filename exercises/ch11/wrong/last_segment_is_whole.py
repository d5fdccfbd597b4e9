# rejected by equal: it takes the last segment to be as long as the others

from __future__ import annotations

# An op: ("F", slot, microbatch), the same with "B", "I" or "W", or ("FB", (slot, microbatch), (slot, microbatch)).
Op = tuple
# Of each slot: "kept", "waits" and "remade", in bytes.
Sizes = list[dict[str, int]]


def peak_bytes(ops: list[Op], sizes: Sizes, lasting: int) -> int:
    held = peak = lasting
    for kind, *chunks in ops:
        if kind == "FB":
            forward, backward = chunks
        elif kind == "F":
            forward, backward = chunks, None
        else:
            forward, backward = None, chunks
        if forward:
            held += sizes[forward[0]]["kept"]
        own = sizes[backward[0]] if backward else {"kept": 0, "waits": 0, "remade": 0}
        peak = max(peak, held + (own["remade"] if kind != "W" else 0))
        if kind == "W":
            held -= own["waits"]
        else:
            held -= own["kept"]
            held += own["waits"] if kind == "I" else 0
        peak = max(peak, held)  # what waits for W may be more than what I let go
    return peak


def cheapest_policy(
    ops: list[Op], policies: list[tuple], lasting: int, capacity: int
) -> str | None:
    fitting = []
    for name, cost, sizes in policies:
        peak = peak_bytes(ops, sizes, lasting)
        if peak <= capacity:
            fitting.append((cost, peak, name))
    return min(fitting)[2] if fitting else None


def recomputed_chunk(layers: int, every: int) -> list[tuple]:
    steps: list[tuple] = []
    for layer in range(layers):
        steps.append(("forward", layer))
        if layer % every:
            steps.append(("drop", layer))
    steps.append(("turn",))
    first = layers - every
    for start in range(first, -1, -every):
        end = min(start + every, layers)
        # The input of the segment is here; those of its other layers are made again, from it.
        steps += [("forward", layer) for layer in range(start, end - 1)]
        for layer in range(end - 1, start - 1, -1):
            steps += [("backward", layer), ("drop", layer)]
    return steps
