"""An exponential moving average of parameters, on the host: it costs the device nothing and the step no time.

DeepSeek-V3 report, arXiv:2412.19437, section 3.2.3: the average tells early how well a model does after its learning rate has
fallen; it is kept in CPU memory and updated after each step, while the device goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dualpipe_ref.schedule import InputError


class HostAverage:
    """average = decay * average + (1 - decay) * parameter, in float32, for every parameter of some stages.

    It begins as the parameters are now. `begin` starts an update beside whatever comes next; `wait` is called before parameters
    change again, and by all that reads the average. Raises `InputError` for a decay that is none.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> _ = layer.weight.data.fill_(1.0)
    >>> average = HostAverage([layer], decay=0.75)
    >>> _ = layer.weight.data.fill_(5.0)
    >>> average.begin()
    >>> average.wait()
    >>> [(name, one.item()) for _, name, one in average.named()]
    [('weight', 2.0)]
    """

    def __init__(self, stages: Sequence[nn.Module], decay: float) -> None:
        if not 0 < decay < 1:
            raise InputError("a decay is between 0 and 1", f"ema = {decay}", "ema = 0.999")
        self.decay = decay
        self._held = [
            (stage, name, parameter, _on_host(parameter).clone())
            for stage in stages
            for name, parameter in stage.named_parameters()
        ]
        self._thread = ThreadPoolExecutor(1, "average")
        self._moving: Future[None] | None = None

    @property
    def bytes(self) -> int:
        """What it takes on the host."""
        return sum(average.nbytes for _, _, _, average in self._held)

    def begin(self) -> None:
        """Move towards the parameters as they are until `wait`."""
        self.wait()
        self._moving = self._thread.submit(self._update)

    def wait(self) -> None:
        """Until the last update is done; what went wrong in it is raised here."""
        if self._moving is not None:
            moving, self._moving = self._moving, None
            moving.result()

    @torch.no_grad()
    def _update(self) -> None:
        for _, _, parameter, average in self._held:
            average.lerp_(_on_host(parameter), 1 - self.decay)

    def named(self) -> Iterator[tuple[nn.Module, str, Tensor]]:
        """Each stage's averages by the name of their parameter there; to fill one is to change the average."""
        self.wait()
        for stage, name, _, average in self._held:
            yield stage, name, average

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within it the parameters are the average."""
        self.wait()
        own = [parameter.detach().clone() for _, _, parameter, _ in self._held]
        try:
            for _, _, parameter, average in self._held:
                parameter.data.copy_(average)
            yield
        finally:
            for (_, _, parameter, _), kept in zip(self._held, own, strict=True):
                parameter.data.copy_(kept)


def _on_host(parameter: Tensor) -> Tensor:
    return parameter.detach().to("cpu", torch.float32)
