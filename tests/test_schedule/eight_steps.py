"""The published eight steps of DualPipe as a table, written out by a reader that knows nothing else.

It shares no code with the package's generator: the table holds the text of the steps, and one counter
for every direction and kind of work numbers the micro-batches.
"""

from __future__ import annotations

import re
from collections import Counter, deque

# 0 is the direction that enters at this end, 1 the other. A step repeats its ops.
Step = tuple[str, int]


def table(h: int, H: int, n: int) -> list[Step]:  # noqa: N803 - the published letters
    """The steps of a rank h places from its end, H ranks from the turning point, n a direction."""
    steps = [
        ("F0", 2 * (H - h - 1)),
        ("F0 F1", h + 1),
        ("I1 W F1", H - h - 1),
        ("F0,B1 F1,B0", n - 2 * H + h + 1),
        ("B1 F1,B0", H - h - 1),
        ("B1 B0", (h + 1) // 2),
        # A half step of B, where their number is odd; from here on W is deferred.
        ("B1 I0", (h + 1) % 2),
        ("I1 I0", (h + 1) // 2),
        ("W I0", H - h - 1),
        ("W", h + 1),
    ]
    if h == H - 1 and n - 2 * H + h + 1 > 0:
        # The middle ranks run the first pair one after the other.
        steps[3:4] = [("F0 B1 F1,B0", 1), ("F0,B1 F1,B0", n - 2 * H + h)]
    return steps


def ops(h: int, H: int, n: int, near: int) -> list[str]:  # noqa: N803
    """The rank's ops as text, such as 'F0.3', 'W1.2' or 'FB(F0.3, B1.1)', slots in place of directions."""
    count: Counter[str] = Counter()
    pending: deque[str] = deque()
    lines = []
    for step, repeats in table(h, H, n):
        for word in step.split() * repeats:
            parts = [_number(part, count, pending, near) for part in word.split(",")]
            lines.append(parts[0] if len(parts) == 1 else f"FB({', '.join(parts)})")
    return lines


def _number(part: str, count: Counter[str], pending: deque[str], near: int) -> str:
    if part == "W":
        return f"W{pending.popleft()}"
    kind, direction = re.fullmatch(r"([FIB])([01])", part).groups()  # type: ignore[union-attr]
    slot = near if direction == "0" else 1 - near
    counter = f"{'F' if kind == 'F' else 'B'}{slot}"
    chunk = f"{slot}.{count[counter]}"
    count[counter] += 1
    if kind == "I":
        pending.append(chunk)
    return f"{kind}{chunk}"
