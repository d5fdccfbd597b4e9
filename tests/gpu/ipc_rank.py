"""One process of several on one machine, without torchrun, which would end all when one is killed.

Usage: python -m tests.gpu.ipc_rank RANK RANKS STORE and the arguments of tests.multinode.worker_kernels
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta

import torch.distributed as dist

from tests.multinode.worker_kernels import main

if __name__ == "__main__":
    rank, ranks, store, *words = sys.argv[1:]
    os.environ |= {"LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": ranks, "WORLD_SIZE": ranks}
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=int(rank),
        world_size=int(ranks),
        timeout=timedelta(seconds=300),
    )
    sys.exit(main(words))
