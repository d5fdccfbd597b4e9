"""DualPipe: for one rank, what it computes in which order. Eight steps, one loop each."""

from __future__ import annotations

# ("F", slot, microbatch), the same with "I", "W" or "B", or an overlapped pair:
# ("FB", (slot, microbatch) of the forward, (slot, microbatch) of the backward).
Op = tuple


def dualpipe(rank: int, ranks: int, microbatches: int) -> list[Op]:
    """The ops of `rank` among `ranks` (even), for `microbatches` (even, at least 2P - 2) in both directions."""
    # skeleton: begin
    half, n = ranks // 2, microbatches // 2
    h = min(rank, ranks - 1 - rank)
    to_middle = half - h - 1
    # The ranks of the second half do what the first half does, with the two directions exchanged.
    near, far = (0, 1) if rank < half else (1, 0)
    pen = Pen()

    for _ in range(2 * to_middle):  # 1. Fill this end of the pipeline.
        pen.forward(near)
    for _ in range(h + 1):  # 2. The other end's micro-batches arrive.
        pen.forward(near)
        pen.forward(far)
    for _ in range(to_middle):  # 3. Their gradients return, before there is a forward to pair with.
        pen.backward_input(far)
        pen.weight()
        pen.forward(far)
    for turn in range(n - 2 * half + h + 1):  # 4. Each direction hides the other's messages.
        if turn == 0 and to_middle == 0:
            # The two middle ranks part their first pair, as the released code does. At FB = F + B and
            # with free messages this changes no makespan; only the published order asks for it.
            pen.forward(near)
            pen.backward(far)
        else:
            pen.overlapped(near, far)
        pen.overlapped(far, near)
    for _ in range(to_middle):  # 5. The forwards of this end are used up.
        pen.backward(far)
        pen.overlapped(far, near)
    for turn in range(2 * (h + 1)):  # 6. Only backwards are left; the later ones put their W off.
        slot = near if turn % 2 else far
        if turn < h + 1:
            pen.backward(slot)
        else:
            pen.backward_input(slot)
    for _ in range(to_middle):  # 7. A W fills each wait for one of the last gradients.
        pen.weight()
        pen.backward_input(near)
    for _ in range(h + 1):  # 8. What was put off is done.
        pen.weight()
    return pen.ops
    # skeleton: end


# skeleton: begin
class Pen:
    """Writes ops and numbers them: each slot counts its forwards and its backwards from 0."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._next = {"forward": [0, 0], "backward": [0, 0]}
        self._put_off: list[tuple[int, int]] = []  # chunks whose W is due, the oldest first

    def _chunk(self, way: str, slot: int) -> tuple[int, int]:
        microbatch = self._next[way][slot]
        self._next[way][slot] += 1
        return slot, microbatch

    def forward(self, slot: int) -> None:
        self.ops.append(("F", *self._chunk("forward", slot)))

    def backward(self, slot: int) -> None:
        self.ops.append(("B", *self._chunk("backward", slot)))

    def backward_input(self, slot: int) -> None:
        chunk = self._chunk("backward", slot)
        self._put_off.append(chunk)
        self.ops.append(("I", *chunk))

    def weight(self) -> None:
        self.ops.append(("W", *self._put_off.pop(0)))

    def overlapped(self, forward_slot: int, backward_slot: int) -> None:
        forward = self._chunk("forward", forward_slot)
        self.ops.append(("FB", forward, self._chunk("backward", backward_slot)))


# skeleton: end
