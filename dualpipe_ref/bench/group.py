"""The process group of a bench's worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch.distributed

TIMEOUT = timedelta(seconds=120)


@contextmanager
def process_group(out: str, ranks: int) -> Iterator[None]:
    """Within it the processes that `train.launch` has started are one gloo group; they meet in a file beside `out`."""
    torch.distributed.init_process_group(
        "gloo",
        init_method=Path(out).with_suffix(".store").absolute().as_uri(),
        timeout=TIMEOUT,
        rank=int(os.environ["RANK"]),
        world_size=ranks,
    )
    yield
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
