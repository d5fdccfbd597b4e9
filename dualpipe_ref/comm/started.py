"""What is on its way, and how work beside the caller's computation is ordered with it on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


class Started(Generic[Result]):
    """A dispatch or combine that is on its way; computation may run meanwhile."""

    def __init__(self, finish: Callable[[], Result]) -> None:
        self._finish: Callable[[], Result] | None = finish
        self._result: Result

    def wait(self) -> Result:
        """The result, as soon as it is here.

        On a GPU, the current stream waits for it: what is given to that stream from now on sees the result.
        """
        if self._finish:
            self._result = self._finish()
            self._finish = None
        return self._result


class Beside:
    """On a GPU, a stream for communication beside those of the computation; on a CPU nothing.

    Work begins after all that the caller's stream has been given so far, or after `previous_event`.
    """

    def __init__(self) -> None:
        self._stream: Any = None

    def around(
        self,
        begin: Callable[[], Result],
        device: torch.device,
        previous_event: torch.cuda.Event | None = None,
    ) -> Callable[[], tuple[Result, Any]]:
        """`begin` as another thread is to call it; with its result comes the event after it, for `arrived`."""
        if device.type != "cuda":
            return lambda: (begin(), None)
        ready = previous_event or torch.cuda.current_stream(device).record_event()
        stream = self._stream = self._stream or torch.cuda.Stream(device)

        def in_stream() -> tuple[Result, Any]:
            with torch.cuda.device(device), torch.cuda.stream(stream):
                stream.wait_event(ready)
                return begin(), stream.record_event()

        return in_stream


def mark(device: torch.device) -> Any:
    """An event after all that the current stream of this thread was given; None on a CPU."""
    return torch.cuda.current_stream(device).record_event() if device.type == "cuda" else None


def after(event: Any, device: torch.device) -> None:
    """What the current stream of this thread is given from now on comes after the event."""
    if event is not None:
        torch.cuda.current_stream(device).wait_event(event)


def arrived(event: Any, tensors: list[Tensor]) -> list[Tensor]:
    """The tensors, for the current stream: it waits for the event, and their memory lives until it has used them."""
    if event is not None:
        stream = torch.cuda.current_stream(tensors[0].device)
        stream.wait_event(event)
        for one in tensors:
            one.record_stream(stream)
    return tensors
