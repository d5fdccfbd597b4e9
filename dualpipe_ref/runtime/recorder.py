"""What a rank notes while it runs a step: when each op ran, when each message was sent and when it was there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dualpipe_ref.schedule import Message, Op


@dataclass
class Recorder:
    """Times in ns of `clock`; one list entry an event, nothing else while the step runs.

    `ops` are (op, start, end), from the moment its messages were there; `sends` (message, issued);
    `receives` (message, waited from, here).
    """

    clock: Callable[[], int] = time.monotonic_ns
    ops: list[tuple[Op, int, int]] = field(default_factory=list)
    sends: list[tuple[Message, int]] = field(default_factory=list)
    receives: list[tuple[Message, int, int]] = field(default_factory=list)

    def begin(self) -> None:
        """Forget the last step."""
        self.ops, self.sends, self.receives = [], [], []
